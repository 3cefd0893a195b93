import { createAsyncEngine } from 'nest-async-engine';

export interface Server {
  readonly url: string;
  stop(): Promise<void>;
}

/** A primary with its standbys, as `startEmbeddedPostgres({ replicas: 1 })` starts them. */
export interface Servers {
  readonly url: string;
  readonly replicas: readonly Server[];
}

/** What the page can do to the standby. */
export class Standby {
  constructor(private readonly servers: readonly Server[]) {}

  /** It receives what the primary writes, and applies nothing of it. */
  pause(): Promise<void> {
    return this.tell('SELECT pg_wal_replay_pause()');
  }

  follow(): Promise<void> {
    return this.tell('SELECT pg_wal_replay_resume()');
  }

  async stop(): Promise<void> {
    for (const server of this.servers) await server.stop();
  }

  private async tell(statement: string): Promise<void> {
    for (const { url } of this.servers) {
      await using engine = createAsyncEngine(url);
      await engine.execDriverSql(statement);
    }
  }
}
