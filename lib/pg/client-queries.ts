import pg from 'pg';
import type { Client, QueryConfig, Submittable } from 'pg';
import { ArgumentError } from '../engine/index.js';
import { describeValue } from '../engine/util/describe-value.js';
import type { ClientSession, ControlNotice, ControlStatement } from './client-session.js';
import { controlIn } from './control-text.js';
import { OpenQuery } from './open-query.js';

export type Answer = pg.QueryResult | pg.QueryResult[];
export type Callback = (error: unknown, result?: Answer) => void;
/** A cursor, a stream of rows, a COPY: it speaks to the connection itself. */
export type ForeignQuery = Submittable & {
  readonly text?: unknown;
  callback?: unknown;
  handleError?(error: unknown, connection: unknown): void;
  resume?(): unknown;
};
/** What `pg` understands of a query beyond its types. */
type Query = QueryConfig & { readonly rowMode?: string };

const FIELDS = [
  'text',
  'values',
  'name',
  'rowMode',
  'types',
  'binary',
  'portal',
  'rows',
  'queryMode',
  'query_timeout',
] as const;

/** The `query()` of a lent client, in all its forms. */
export class ClientQueries {
  readonly #session: ClientSession;
  readonly #notify: (notice: ControlNotice) => void;
  #open: OpenQuery | undefined;
  /** What was called before has been answered; it never rejects. */
  #before: Promise<unknown> = Promise.resolve();

  constructor(session: ClientSession, notify: (notice: ControlNotice) => void) {
    this.#session = session;
    this.#notify = notify;
  }

  /** `refusal`: why the client can't be used. */
  query(given: unknown, rest: readonly unknown[], refusal: Error | undefined): unknown {
    if (isForeign(given)) {
      const done = refusal === undefined ? this.submit(given, rest) : Promise.reject(refusal);
      done.catch((error: unknown) => refuse(given, error, this.#session.client));
      return given;
    }
    const query = checkedQuery(given, rest);
    const callback = rest.find(isCallback) ?? (given as { readonly callback?: Callback }).callback;
    const answer = refusal === undefined ? this.#inLine(() => this.#run(query)) : Promise.reject(refusal);
    if (callback === undefined) return answer;
    void answer.then((result) => callback(null, result), callback);
    return undefined;
  }

  /** The answer as a promise, whatever callback `given` has. */
  async ask(given: unknown, rest: readonly unknown[]): Promise<Answer> {
    const query = checkedQuery(given, rest);
    return await this.#inLine(() => this.#run(query));
  }

  /** Resolves when the session is free again; rejects where `query` was never submitted. */
  async submit(query: ForeignQuery, rest: readonly unknown[]): Promise<void> {
    let open: OpenQuery | undefined;
    const paced = {
      get progress() {
        return open?.progress;
      },
    };
    const use = (client: Client): void => {
      this.#open = open = new OpenQuery(client, this.#session, query);
      (client.query as (...args: readonly unknown[]) => unknown)(query, ...rest);
    };
    try {
      await this.#inLine(async () => {
        if (this.#session.isPart && controlIn(String(query.text ?? '')) !== undefined) throw foreignControl();
        await this.#session.lend(use, paced);
      });
    } catch (error) {
      // Otherwise the server's error, which has reached the query.
      if (open === undefined) throw error;
    } finally {
      this.#open?.end();
      this.#open = undefined;
    }
  }

  /** Ends what is open: nothing reads it any more, and nothing else could run in the session. */
  finishOpen(): void {
    this.#open?.finish();
  }

  /** In the order of the calls, also where BEGIN and COMMIT never leave. */
  #inLine<T>(work: () => Promise<T>): Promise<T> {
    if (!this.#session.isPart) return work();
    const run = this.#before.then(work);
    this.#before = run.catch(() => undefined);
    return run;
  }

  async #run(query: Query): Promise<Answer> {
    const parts = this.#session.isPart ? controlIn(query.text) : undefined;
    if (parts === undefined) return await this.#send(query);
    const answers: pg.QueryResult[] = [];
    for (const part of parts) {
      if (part.command === undefined)
        answers.push(...[await this.#send({ ...query, text: part.text })].flat());
      else answers.push(await this.#control(part, query));
    }
    return answers.length === 1 && answers[0] !== undefined ? answers[0] : answers;
  }

  #send(query: Query): Promise<Answer> {
    return new Promise((resolve, reject) => {
      // The client's own word comes first; what is left is why it was never asked.
      this.#session.lend((client) => void client.query(query).then(resolve, reject)).catch(reject);
    });
  }

  async #control(statement: ControlStatement, { rowMode, types }: Query): Promise<pg.QueryResult> {
    const { tag, notice } = await this.#session.control(statement);
    if (notice !== undefined) this.#notify(notice);
    const result = new pg.Result(rowMode ?? '', types as never);
    return Object.assign(result, { command: tag, rowCount: null });
  }
}

/** True for what `pg` calls a Submittable. */
export function isForeign(given: unknown): given is ForeignQuery {
  return typeof (given as Partial<Submittable> | null | undefined)?.submit === 'function';
}

/** As `pg` refuses what is given to a client that is not connected. */
export function refuse(query: ForeignQuery, error: unknown, client?: Client): void {
  if (typeof query.handleError === 'function') query.handleError(error, client?.connection);
}

const isCallback = (argument: unknown): argument is Callback => typeof argument === 'function';

/** A copy: `pg` writes into what it is given. Fields are read one by one, they may be getters. */
function checkedQuery(given: unknown, rest: readonly unknown[]): Query {
  const config = (typeof given === 'string' ? { text: given } : given) as Record<string, unknown> | null;
  if (typeof config !== 'object' || config === null || typeof config['text'] !== 'string') {
    throw new ArgumentError(
      `query() must be given a text, an object with a text, or a cursor; got ${describeValue(given)}.`,
    );
  }
  const query: Record<string, unknown> = {};
  for (const field of FIELDS) if (config[field] !== undefined) query[field] = config[field];
  const values = rest.find((argument) => Array.isArray(argument));
  if (values !== undefined) query['values'] = values;
  return query as unknown as Query;
}

function foreignControl(): ArgumentError {
  return new ArgumentError(
    'BEGIN, COMMIT and the like must be given to query() as a text: inside a transaction of the engine they ' +
      'stand for a savepoint.',
  );
}
