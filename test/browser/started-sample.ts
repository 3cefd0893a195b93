import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const START_LIMIT = 90_000;

/** A sample as its reader starts it, in a process of its own and on a PostgreSQL of its own. */
export class StartedSample implements AsyncDisposable {
  readonly url: string;
  readonly #stop: () => Promise<void>;

  private constructor(url: string, stop: () => Promise<void>) {
    this.url = url;
    this.#stop = stop;
  }

  static async start(name: string): Promise<StartedSample> {
    const { DATABASE_URL: _, ...environment } = process.env;
    const child = spawn(process.execPath, ['sample/start.mjs', name], {
      cwd: ROOT,
      env: { ...environment, PORT: '0' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const exited = once(child, 'exit');
    const stop = async (): Promise<void> => {
      child.kill('SIGTERM');
      await exited;
    };
    try {
      return new StartedSample(await addressIn(child.stdout, child.stderr, exited), stop);
    } catch (error) {
      await stop();
      throw error;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stop();
  }
}

/** The address that the sample prints; what it said instead, where it printed none. */
function addressIn(
  out: NodeJS.ReadableStream,
  err: NodeJS.ReadableStream,
  exited: Promise<unknown>,
): Promise<string> {
  let said = '';
  return new Promise((resolve, reject) => {
    const refuse = (what: string): void => reject(new Error(`the sample ${what}:\n${said}`));
    const limit = setTimeout(() => refuse(`printed no address within ${START_LIMIT} ms`), START_LIMIT);
    const read = (chunk: unknown): void => {
      said += String(chunk);
      const url = /https?:\/\/localhost:\d+/.exec(said)?.[0];
      if (url === undefined) return;
      clearTimeout(limit);
      resolve(url);
    };
    out.on('data', read);
    err.on('data', read);
    void exited.then(() => refuse('ended at once'));
  });
}
