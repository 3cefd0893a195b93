import pg from 'pg';

/** A client that looks at the database beside what is measured, and knows nothing of it. */
export class Observer {
  readonly #client: pg.Client;

  private constructor(client: pg.Client) {
    this.#client = client;
  }

  static async open(url: string): Promise<Observer> {
    const client = new pg.Client({ connectionString: url, application_name: 'bench-observer' });
    await client.connect();
    return new Observer(client);
  }

  /** Opens one for a single question. */
  static async ask<T>(url: string, question: (observer: Observer) => Promise<T>): Promise<T> {
    const observer = await Observer.open(url);
    try {
      return await question(observer);
    } finally {
      await observer.close();
    }
  }

  async execute(script: string): Promise<void> {
    await this.#client.query(script);
  }

  /** The first column of the first row as a number. */
  async number(question: string): Promise<number> {
    const { rows } = await this.#client.query<[unknown]>({ text: question, rowMode: 'array' });
    return Number(rows[0]?.[0]);
  }

  close(): Promise<void> {
    return this.#client.end();
  }
}
