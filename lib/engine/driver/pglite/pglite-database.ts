import path from 'node:path';
import type { PGlite } from '@electric-sql/pglite';
import { NoSuchDriverError, ResourceClosedError } from '../../errors/errors.js';
import { OperationalError } from '../../errors/server-errors.js';
import { files } from '../../errors/node-modules.js';
import { FolderLock } from './folder-lock.js';
import { splitMessages, statementOf } from './pglite-messages.js';
import { reasonOf } from './reason.js';

/** The part of the package that is used. */
export interface PgliteModule {
  readonly PGlite: Pick<typeof PGlite, 'create'>;
}

/** `usable`: open, or opened when asked for. `lost`: it was in memory and its server has ended. */
type State = 'usable' | 'lost' | 'closed';

/** One PGlite instance: a whole server in this process, opened when it is first asked for. */
export class PgliteDatabase {
  readonly #folder: string | undefined;
  readonly #settings: Readonly<Record<string, unknown>>;
  readonly #load: () => Promise<PgliteModule>;
  #state: State = 'usable';
  #lossCause: unknown;
  #lock: FolderLock | undefined;
  #opening: Promise<PGlite> | undefined;
  /** Is told of each text that is run on the instance itself, and what it has left. */
  onForeign: ((text: string, status: 'idle' | 'open') => void) | undefined;

  /** Without a `folder` the data is in memory. */
  constructor(
    folder: string | undefined,
    settings: Readonly<Record<string, unknown>>,
    load: () => Promise<PgliteModule> = () => import('@electric-sql/pglite'),
  ) {
    this.#folder = folder === undefined ? undefined : path.resolve(folder);
    this.#settings = settings;
    this.#load = load;
  }

  get place(): string {
    return this.#folder === undefined ? 'PGlite in memory' : `PGlite in ${this.#folder}`;
  }

  /**
   * The instance, the same each time.
   *
   * @throws NoSuchDriverError where the package is not installed, OperationalError where the folder is in use
   * or can't be opened, or the data in memory is lost, ResourceClosedError after `close()`.
   */
  async open(): Promise<PGlite> {
    if (this.#state === 'closed')
      throw new ResourceClosedError(`${this.place} is closed. Make a new engine.`);
    if (this.#state === 'lost') {
      throw new OperationalError(
        `${this.place} has ended (${reasonOf(this.#lossCause)}), and its data with it. Make a new engine.`,
        { cause: this.#lossCause },
      );
    }
    this.#opening ??= this.#start();
    try {
      return await this.#opening;
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
  }

  /** The server has ended by itself. What is in a folder is opened anew when it is next asked for. */
  lose(cause: unknown): void {
    if (this.#state !== 'usable') return;
    this.#opening = undefined;
    if (this.#folder !== undefined) return;
    this.#state = 'lost';
    this.#lossCause = cause;
  }

  /** For good. Never rejects: the errors of a broken instance would have no caller. */
  async close(): Promise<void> {
    this.#state = 'closed';
    const instance = await this.#opening?.catch(() => undefined);
    // Behind what is still to be run, such as the end of a session.
    await instance?.runExclusive(() => Promise.resolve()).catch(() => undefined);
    await instance?.close().catch(() => undefined);
    await this.#lock?.release();
  }

  async #start(): Promise<PGlite> {
    const { PGlite: server } = await this.#load().catch((cause: unknown) => {
      throw notLoaded(cause);
    });
    const folder = this.#folder === undefined ? undefined : await realFolder(this.#folder);
    if (folder !== undefined) this.#lock ??= await FolderLock.acquire(folder);
    try {
      const instance = await (folder === undefined
        ? server.create(this.#settings)
        : server.create(folder, this.#settings));
      this.#observe(instance);
      return instance;
    } catch (cause) {
      await this.#lock?.release();
      this.#lock = undefined;
      throw new OperationalError(`cannot open ${this.place}: ${reasonOf(cause)}`, { cause });
    }
  }
  /** The driver's own wire is another method: this one carries what is run on the instance itself. */
  #observe(instance: PGlite): void {
    const run = instance.execProtocolRaw.bind(instance);
    instance.execProtocolRaw = async (message, options) => {
      try {
        return await run(message, options);
      } finally {
        const text = splitMessages(Buffer.from(message)).map(statementOf).join('');
        this.onForeign?.(text, instance.isInTransaction() ? 'open' : 'idle');
      }
    };
  }
}

/** Without links: the WASM server can't open one, and two names of a folder have one lock. */
async function realFolder(folder: string): Promise<string> {
  try {
    return await files().realpath(folder);
  } catch {
    const parent = path.dirname(folder);
    return parent === folder ? folder : path.join(await realFolder(parent), path.basename(folder));
  }
}

function notLoaded(cause: unknown): NoSuchDriverError {
  return new NoSuchDriverError(
    'the driver pglite needs the package "@electric-sql/pglite", which could not be loaded. ' +
      'Install it with "npm install @electric-sql/pglite".',
    { cause },
  );
}
