import path from 'node:path';
import { MigrationError, type EngineLogger } from '../engine/index.js';
import { printable, reportError } from '../engine/util/logger.js';
import { IGNORED, SILENT, type MigrationFile } from './migration-files.js';
import type { MigrationClient, MigrationHistory } from './migration-history.js';
import type { MigrationOptions } from './migration-options.js';
import type { NodePgMigrate } from './node-pg-migrate.js';
import type { TerminalLine } from './terminal-line.js';
import { reasonOf } from '../engine/errors/thrown.js';

type RunnerOptions = Parameters<NodePgMigrate['runner']>[0];
type Unit = Awaited<ReturnType<NodePgMigrate['load']>>[number];
type Builder = Parameters<Extract<Unit['actions']['up'], (...given: never[]) => unknown>>[0];

/** What a run works with. */
interface MigrationRunOptions {
  readonly tool: NodePgMigrate;
  readonly client: MigrationClient;
  readonly history: MigrationHistory;
  readonly files: readonly MigrationFile[];
  readonly pending: readonly MigrationFile[];
  readonly target: Pick<MigrationOptions, 'schema' | 'onProgress'> & {
    readonly dir: string;
    readonly table: string;
  };
  readonly logger: EngineLogger;
  readonly terminal: TerminalLine;
}

/** Runs the pending files in one transaction, and knows which of them runs. */
export class MigrationRun {
  readonly #options: MigrationRunOptions;
  #current: MigrationFile | undefined;
  #done = 0;
  /** What has run so far is undone with the rest, or a file has ended the transaction. */
  #state: 'whole' | 'split' = 'whole';

  constructor(options: MigrationRunOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { tool, pending } = this.#options;
    try {
      await tool.runner(this.#runnerOptions());
    } catch (error) {
      throw this.#failure(error);
    }
    this.#done = pending.length;
    this.#tell(undefined);
  }

  #runnerOptions(): RunnerOptions {
    const { client, files, target } = this.#options;
    const { dir, table, schema } = target;
    return {
      dbClient: client as unknown as Extract<RunnerOptions, { dbClient: unknown }>['dbClient'],
      dir,
      ignorePattern: IGNORED,
      direction: 'up',
      migrationsTable: table,
      ...(schema === undefined ? {} : { schema }),
      singleTransaction: true,
      noLock: true,
      checkOrder: false,
      logger: SILENT,
      migrationLoaderStrategies: [
        {
          extensions: [...new Set(files.map((file) => path.extname(file.path)))],
          loader: async (paths) => (await Promise.all(paths.map((each) => this.#load(each)))).flat(),
        },
      ],
    };
  }

  /** Those that have run are loaded too: later ones use their shorthands of types. */
  async #load(location: string): Promise<Unit[]> {
    const { tool, files, pending } = this.#options;
    const file = files.find((each) => each.path === location);
    try {
      const units = await tool.load({ logger: SILENT }, [location]);
      if (file === undefined || !pending.includes(file)) return units;
      return units.map((unit) => this.#follow(unit, file));
    } catch (error) {
      if (error instanceof MigrationError) throw error;
      const name = file?.file ?? path.basename(location);
      throw new MigrationError(`the migration '${name}' cannot be loaded: ${reasonOf(error)}`, {
        file: name,
        cause: error,
      });
    }
  }

  /** The checksum is kept in the transaction of the migration. */
  #follow(unit: Unit, file: MigrationFile): Unit {
    const { up } = unit.actions;
    if (typeof up !== 'function') {
      throw new MigrationError(`the migration '${file.file}' exports no function 'up'.`, { file: file.file });
    }
    const followed = async (builder: Builder): Promise<void> => {
      this.#current = file;
      this.#tell(file);
      await callUp(up, builder);
      if (!builder.isUsingTransaction()) this.#state = 'split';
      builder.sql(this.#options.history.insertOf([file]));
      this.#done += 1;
    };
    return { ...unit, actions: { ...unit.actions, up: followed } };
  }

  #tell(file: MigrationFile | undefined): void {
    const { pending, target, logger, terminal } = this.#options;
    const [done, total] = [this.#done, pending.length];
    const what =
      file === undefined ? `${total} of ${total} have run` : `${done + 1} of ${total}, ${file.file}`;
    const message = `migrations: ${what}`;
    terminal.end();
    logger.log(printable(message), { logger: 'AsyncEngine', event: 'migration', done, total });
    terminal.show(message);
    try {
      target.onProgress?.({ file: file?.file, done, total });
    } catch (error) {
      reportError(logger, error);
    }
  }

  #failure(error: unknown): Error {
    const loading = (error as Error).cause;
    if (loading instanceof MigrationError) return loading;
    const file = this.#current?.file;
    const stored =
      this.#state === 'whole'
        ? 'All that this run did was rolled back.'
        : 'A file of this run left the transaction: what ran before its end is stored.';
    const what = file === undefined ? 'the migrations failed' : `the migration '${file}' failed`;
    return new MigrationError(`${what}: ${reasonOf(error)}. ${stored}`, { file, cause: error });
  }
}

/** An action with two parameters calls the second when it is done. */
async function callUp(
  up: Extract<Unit['actions']['up'], (...given: never[]) => unknown>,
  builder: Builder,
): Promise<void> {
  if (up.length < 2) return void (await (up as (pgm: Builder) => unknown)(builder));
  await new Promise<void>((resolve) => void up(builder, resolve));
}
