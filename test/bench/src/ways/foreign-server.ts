import { AbsentError } from '../benchmark-error.js';
import { Observer } from '../observer.js';
import type { Way } from '../workload.js';
import { DelayProxy } from './delay-proxy.js';

/** Round trips of postgres_fdw for one read: it begins, declares, fetches, closes and commits. */
const ROUND_TRIPS = 5;

/** A database whose `accounts` are those of another one, farther away. */
export class ForeignServer implements Way {
  readonly url: string;
  readonly #close: () => Promise<void>;

  private constructor(url: string, close: () => Promise<void>) {
    this.url = url;
    this.#close = close;
  }

  /** A read waits about `wait` milliseconds behind the server. */
  static async start(databaseUrl: string, wait: number): Promise<ForeignServer> {
    const proxy = await DelayProxy.start(databaseUrl, wait / ROUND_TRIPS / 2);
    const near = new URL(databaseUrl);
    const name = `${near.pathname.slice(1)}_near`;
    near.pathname = `/${name}`;
    await Observer.ask(databaseUrl, (observer) => observer.execute(`CREATE DATABASE "${name}"`));
    const foreign = new ForeignServer(near.href, async () => {
      await proxy.close();
      await Observer.ask(databaseUrl, (observer) => observer.execute(`DROP DATABASE "${name}" WITH (FORCE)`));
    });
    try {
      await Observer.ask(near.href, (observer) => observer.execute(setUp(new URL(proxy.url))));
      return foreign;
    } catch (error) {
      await foreign.close();
      throw new AbsentError(`postgres_fdw cannot be used on this server: ${String(error)}`);
    }
  }

  close(): Promise<void> {
    return this.#close();
  }
}

function setUp({ hostname, port, pathname, username, password }: URL): string {
  const secret = password === '' ? '' : `, password '${password}', password_required 'false'`;
  return `
    CREATE EXTENSION postgres_fdw;
    CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw
      OPTIONS (host '${hostname}', port '${port}', dbname '${pathname.slice(1)}');
    CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (user '${username}'${secret});
    CREATE FOREIGN TABLE accounts (id int, name text, balance int, visits int) SERVER far;
  `;
}
