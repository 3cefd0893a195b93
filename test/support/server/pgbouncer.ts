import { join } from 'node:path';
import { Program, versionOf } from './program.js';

/** The version of the program as 1.18, or undefined where there is none. */
export function pgbouncerVersion(): number | undefined {
  const said = versionOf('pgbouncer');
  if (said === undefined) return undefined;
  const [, major = '0', minor = '0'] = /PgBouncer (\d+)\.(\d+)/.exec(said) ?? [];
  return Number(major) + Number(minor) / 100;
}

/** A PgBouncer in front of the server of `targetUrl`. */
export class PgBouncer implements AsyncDisposable {
  /** The same database, through the pooler. */
  readonly url: string;
  readonly #program: Program;

  private constructor(url: string, program: Program) {
    this.url = url;
    this.#program = program;
  }

  /** `settings` as in pgbouncer.ini. */
  static async start(targetUrl: string, settings: Readonly<Record<string, string>> = {}): Promise<PgBouncer> {
    const target = new URL(targetUrl);
    const database = target.pathname.slice(1);
    // It takes no empty word.
    const password = target.password === '' ? '' : ` password=${target.password}`;
    const server = `host=${target.hostname} port=${target.port} user=${target.username}${password}`;
    const ini = (port: number): string => {
      const all = {
        listen_addr: '127.0.0.1',
        listen_port: String(port),
        unix_socket_dir: '',
        auth_type: 'any',
        pool_mode: 'transaction',
        default_pool_size: '3',
        ...settings,
      };
      const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`);
      return ['[databases]', `${database} = ${server}`, '[pgbouncer]', ...lines, ''].join('\n');
    };
    const program = await Program.start(
      'pgbouncer',
      ({ port }) => ({ 'pgbouncer.ini': ini(port) }),
      ({ folder }) => ['-q', join(folder, 'pgbouncer.ini')],
    );
    return new PgBouncer(`postgresql://${target.username}@127.0.0.1:${program.port}/${database}`, program);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#program[Symbol.asyncDispose]();
  }
}
