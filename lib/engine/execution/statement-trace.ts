import { AsyncLocalStorage } from 'node:async_hooks';
import { EXECUTION_CHANNELS } from './event-place.js';
import type { SessionFacts } from './invocation.js';
import type { StatementEvent } from './statement-event.js';
import type { TracedEvent } from '../util/channels.js';

/** What a statement has come to. */
export interface Answer {
  /** -1 where the server gives no number. */
  readonly rowCount: number;
  readonly command: string | undefined;
}

/** What `pg` says of a query on its own channel (node-postgres#3650). */
interface PgQuery extends TracedEvent {
  readonly query: { readonly text: string; readonly name: string | undefined };
  readonly client: {
    readonly database: string | undefined;
    readonly host: string | undefined;
    readonly port: number | undefined;
    readonly user: string | undefined;
    readonly processID: number | undefined;
    readonly ssl: boolean;
  };
  result?: { readonly rowCount: number | null; readonly command: string | undefined };
}

const TRACE = EXECUTION_CHANNELS.trace<StatementEvent<unknown>>('nest-async-engine:statement');
const PG_QUERY = EXECUTION_CHANNELS.trace<PgQuery>('pg:query');

/** One statement on the tracing channels: on ours from call to end, on that of pg while the server has it. */
export class StatementTrace {
  readonly #event: StatementEvent<unknown>;
  #progress: 'idle' | 'running' = 'idle';
  /** The async context of the first pull of a stream. */
  #inContext: (<T>(work: () => T) => T) | undefined;

  constructor(event: StatementEvent<unknown>) {
    this.#event = event;
  }

  run<T>(work: () => Promise<T>): Promise<T> {
    if (!TRACE.isObserved) return work();
    return this.begin(work).then(
      (result) => {
        this.finish();
        return result;
      },
      (error: unknown) => {
        this.finish(error);
        throw error;
      },
    );
  }

  begin<T>(work: () => T): T {
    if (!TRACE.isObserved) return work();
    this.#progress = 'running';
    return TRACE.begin(this.#event, work);
  }

  /** The first pull of a stream, in whose context its end is told, whichever code reads it to there. */
  beginStream<T>(work: () => T): T {
    if (TRACE.isObserved) this.#inContext = AsyncLocalStorage.snapshot();
    return this.begin(work);
  }

  /** True: `send()` tells of it. */
  get isSendingObserved(): boolean {
    return PG_QUERY.isObserved;
  }

  /** Without effect once it is over. */
  finish(error?: unknown): void {
    if (this.#progress !== 'running') return;
    this.#progress = 'idle';
    this.#event.error = error;
    const tell = (): void => TRACE.finish(this.#event);
    if (this.#inContext === undefined) tell();
    else this.#inContext(tell);
  }

  /** Sends it on `session`; `answerOf` tells of the result what subscribers get. */
  send<T>(
    session: SessionFacts | undefined,
    work: () => Promise<T>,
    answerOf: (result: T) => Answer,
  ): Promise<T> {
    if (!PG_QUERY.isObserved) return work();
    const { host, port, database, user, ssl = false } = session?.server ?? {};
    const message: PgQuery = {
      query: { text: this.#event.sql ?? '', name: undefined },
      client: { database, host, port, user, processID: session?.processId, ssl },
    };
    return PG_QUERY.run(message, async () => {
      const result = await work();
      const { rowCount, command } = answerOf(result);
      message.result = { rowCount: rowCount < 0 ? null : rowCount, command };
      return result;
    });
  }
}
