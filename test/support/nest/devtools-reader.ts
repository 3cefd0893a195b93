import { expect } from 'vitest';
import { eventually } from '../process/barrier.js';

interface Step {
  readonly id: number;
  readonly parent?: number;
  readonly kind: string;
  readonly text: string;
  readonly fate: string;
  readonly rows?: number;
  readonly error?: string;
  readonly site?: string;
  readonly values?: string;
  readonly duration?: number;
}

interface Lock {
  readonly pid: number;
  readonly application: string;
  readonly label?: string;
  readonly sql?: string;
}

interface Unit {
  readonly id: number;
  readonly engine: string;
  readonly label: string;
  readonly outcome: string;
  readonly statements: number;
  readonly roundTrips: number;
  readonly steps: readonly Step[];
  readonly omitted: number;
}

interface Statement {
  readonly id: number;
  readonly engine: string;
  readonly sql: string;
  readonly calls: number;
  readonly sites: readonly string[];
}

interface Finding {
  readonly id: number;
  readonly kind: string;
  readonly title: string;
  readonly advice: string;
  readonly site?: string;
  readonly count: number;
}

interface Update {
  readonly units?: readonly Unit[];
  readonly statements?: readonly Statement[];
  readonly findings?: readonly Finding[];
  readonly locks?: readonly Lock[];
}

/** What an open page of the devtools knows: it reads the event stream as a browser does. */
export class DevtoolsReader {
  readonly units = new Map<number, Unit>();
  readonly #statements = new Map<number, Statement>();
  readonly #findings = new Map<number, Finding>();
  #locks: readonly Lock[] = [];
  readonly #page: string;
  readonly #end = new AbortController();
  #reading: Promise<void> = Promise.resolve();

  private constructor(page: string) {
    this.#page = page;
  }

  /** Resolves once the first events have come; a page that is refused has none. */
  static async open(page: string): Promise<DevtoolsReader> {
    const reader = new DevtoolsReader(page);
    const response = await fetch(`${page}/events`, { signal: reader.#end.signal });
    if (response.ok && response.body !== null) reader.#reading = reader.#read(response.body);
    else await response.body?.cancel();
    return reader;
  }

  async close(): Promise<void> {
    this.#end.abort();
    await this.#reading;
  }

  unit(label: string, isReady: (unit: Unit) => boolean = () => true): Promise<Unit> {
    return found(() => [...this.units.values()].find((unit) => unit.label === label && isReady(unit)));
  }

  statement(sql: string, isReady: (statement: Statement) => boolean = () => true): Promise<Statement> {
    return found(() => [...this.#statements.values()].find((each) => each.sql === sql && isReady(each)));
  }

  finding(kind: string): Promise<Finding> {
    return found(() => [...this.#findings.values()].find((finding) => finding.kind === kind));
  }

  lock(isIt: (lock: Lock) => boolean): Promise<Lock> {
    return found(() => this.#locks.find(isIt));
  }

  /** Those that were told of so far. */
  get findings(): readonly Finding[] {
    return [...this.#findings.values()];
  }

  async explain(
    body: object,
  ): Promise<{ readonly status: number; readonly body: { plan?: string; message?: string } }> {
    const response = await fetch(`${this.#page}/explain`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as object };
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    let text = '';
    try {
      for await (const chunk of body.pipeThrough(
        new TextDecoderStream() as never,
      ) as unknown as AsyncIterable<string>) {
        text += chunk;
        const events = text.split('\n\n');
        text = events.pop() ?? '';
        events.forEach((event) => this.#take(event));
      }
    } catch {
      // Aborted.
    }
  }

  #take(event: string): void {
    const data = /^data: (.*)$/m.exec(event)?.[1];
    // One with a name is no message.
    if (data === undefined || /^event: /m.test(event)) return;
    const { units = [], statements = [], findings = [], locks } = JSON.parse(data) as Update;
    this.#locks = locks ?? this.#locks;
    for (const unit of units) this.units.set(unit.id, unit);
    for (const statement of statements) this.#statements.set(statement.id, statement);
    for (const finding of findings) this.#findings.set(finding.id, finding);
  }
}

async function found<T>(find: () => T | undefined): Promise<T> {
  return await eventually(() => {
    const item = find();
    expect(item).toBeDefined();
    return item as T;
  });
}
