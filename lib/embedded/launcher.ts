import { randomBytes, randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ArgumentError } from '../engine/errors/errors.js';
import { OperationalError } from '../engine/errors/server-errors.js';
import { EMBEDDED_OPTIONS, fixedSettings, host, type EmbeddedPostgresOptions } from './embedded-options.js';
import { isBeingLeft, openDataDirectory, type DataDirectory } from './data-directory.js';
import { copyBinaries, findBinaries, obstacleTo, type PostgresBinaries } from './binaries.js';
import { WatchdogProcess, type ReplicaSource, type StartFailure } from './watchdog-process.js';
import { serverUser, type ServerUser } from './server-user.js';

/** How many picked ports may turn out to be taken. */
const portAttempts = 3;

/** Milliseconds between two looks at a data directory whose server is ending. */
const leavingPause = 100;

/** Nothing survives the server, so nothing has to reach the disk; but replicas get a COMMIT at once. */
const temporarySettings = { fsync: 'off', full_page_writes: 'off' };

/** For replicas: the server keeps what they have yet to read, and they look for it without a pause. */
const replicationSettings = { wal_keep_size: '256MB', wal_retrieve_retry_interval: '100ms' };

/** What a test replaces. */
interface LaunchEnvironment {
  pickPort(): Promise<number>;
  /** Milliseconds. */
  readonly deadline: number;
}

export interface RunningPostgres {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly guard: WatchdogProcess;
  readonly dataDir: string;
  readonly launch: Launch;
}

/** How a server was started: its replicas are started in the same way. */
interface Launch {
  readonly options: EmbeddedPostgresOptions;
  readonly binaries: PostgresBinaries;
  readonly user: ServerUser;
  readonly password: string;
  readonly deadline: number;
  /** Undefined: a server of its own. */
  readonly source?: ReplicaSource;
}

export async function launchPostgres(
  given: EmbeddedPostgresOptions,
  environment: LaunchEnvironment,
): Promise<RunningPostgres> {
  expectSupported();
  const options = EMBEDDED_OPTIONS.parse(given);
  const user = await serverUser();
  const binaries = await findBinaries();
  const directory =
    options.dataDir === undefined ? undefined : await openDataDirectory(options.dataDir, user);
  const password = directory?.password ?? randomBytes(24).toString('base64url');
  const launch = { options, binaries, user, password, deadline: environment.deadline };
  try {
    return await launchOnSomePort(launch, directory, environment);
  } catch (error) {
    await directory?.discard();
    throw error;
  }
}

/** Starts a standby that begins as a copy of `primary`, in a temporary folder, and streams from it. */
export function launchReplica(
  { launch }: RunningPostgres,
  source: ReplicaSource,
  environment: LaunchEnvironment,
): Promise<RunningPostgres> {
  const options = { ...launch.options, dataDir: undefined, port: undefined };
  return launchOnSomePort({ ...launch, options, source }, undefined, environment);
}

async function launchOnSomePort(
  launch: Launch,
  directory: DataDirectory | undefined,
  environment: LaunchEnvironment,
): Promise<RunningPostgres> {
  const end = performance.now() + environment.deadline;
  for (let attempt = 1; ;) {
    const port = launch.options.port ?? (await environment.pickPort());
    const started = await launchOn(port, launch, directory);
    if ('guard' in started) {
      const url = `postgresql://postgres:${launch.password}@${host}:${port}/postgres`;
      return { url, host, port, launch, ...started };
    }
    const mayEnd = started.reason === 'server-in-data-dir' && performance.now() < end;
    if (mayEnd && directory !== undefined && (await isBeingLeft(directory.path))) {
      // As after a restart of the application, whose former process has only just gone.
      await sleep(leavingPause);
      continue;
    }
    const mayRetry =
      started.reason === 'port-taken' && launch.options.port === undefined && attempt < portAttempts;
    if (!mayRetry) throw startError(started, port, launch);
    attempt += 1;
  }
}

async function launchOn(
  port: number,
  launch: Launch,
  directory: DataDirectory | undefined,
): Promise<Pick<RunningPostgres, 'guard' | 'dataDir'> | StartFailure> {
  const { binaries, user, options, source } = launch;
  const folder = join(tmpdir(), `embedded-postgres-${randomUUID()}`);
  const obstacle = await obstacleTo(binaries.folder, user);
  const programs = join(obstacle === undefined ? binaries.folder : join(folder, 'native'), 'bin');
  const dataDir = directory?.path ?? join(folder, 'data');
  const guard = new WatchdogProcess({
    folder,
    dataDir,
    signal: directory === undefined ? 'QUIT' : 'INT',
    initdb: (directory?.password ?? source) ? undefined : join(programs, 'initdb'),
    initdbOptions: initdbOptions(binaries, directory === undefined),
    source,
    server: [join(programs, 'postgres'), '-D', dataDir, ...serverSettings(options, port)],
    user,
  });
  const prepare = async (): Promise<void> => {
    if (obstacle !== undefined) await copyRunnable(binaries, join(folder, 'native'), user);
  };
  return (await guard.start(launch.password, prepare, launch.deadline)) ?? { guard, dataDir };
}

/**
 * For a project below a folder that the server's user cannot enter, or in which the libraries could not be
 * linked.
 */
async function copyRunnable(binaries: PostgresBinaries, target: string, user: ServerUser): Promise<void> {
  await copyBinaries(binaries, target, user);
  const obstacle = await obstacleTo(target, user);
  if (obstacle === undefined) return;
  throw new OperationalError(
    `the PostgreSQL of "embedded-postgres" does not run on this system (tried in ${tmpdir()}). It needs glibc, and a ` +
      'temporary folder that programs may run from (TMPDIR). Or set DATABASE_URL to a server that is already running.',
    { cause: obstacle },
  );
}

function initdbOptions(binaries: PostgresBinaries, temporary: boolean): string[] {
  return [
    '--no-instructions',
    // Upper and lower case beyond ASCII, the same on every platform; the C locale of libc knows none.
    ...(binaries.major >= 17 ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8'] : []),
    ...(temporary ? ['--no-sync'] : []),
  ];
}

function serverSettings(options: EmbeddedPostgresOptions, port: number): string[] {
  const settings: Record<string, string> = {
    unix_socket_directories: '',
    ...(options.dataDir === undefined ? temporarySettings : {}),
    ...((options.replicas ?? 0) > 0 ? replicationSettings : {}),
    ...options.settings,
    ...fixedSettings,
    port: String(port),
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

function expectSupported(): void {
  if (process.platform !== 'win32') return;
  throw new ArgumentError(
    'the embedded PostgreSQL does not run on Windows. ' +
      'Set DATABASE_URL (in tests TEST_DATABASE_URL) to a server that is already running.',
  );
}

function startError({ reason, log }: StartFailure, port: number, { options, user, deadline }: Launch): Error {
  const who = user.uid === undefined ? 'this user' : 'the user "nobody", whom root hands the server to,';
  switch (reason) {
    case 'port-taken':
      return options.port === undefined
        ? new OperationalError(
            `${portAttempts} picked ports were taken before the server used them. Give one with \`port\`.`,
          )
        : new ArgumentError(
            `port ${port} is taken by another program. Give another one, or none for a free one.`,
          );
    case 'data-dir-in-use':
    case 'server-in-data-dir':
      return new ArgumentError(
        `dataDir "${options.dataDir}" is in use: a server runs on it, or another process is making it. Stop that one, or give another directory.\n${log}`,
      );
    case 'data-dir-unreachable':
      return new ArgumentError(
        `dataDir "${options.dataDir}" cannot be written by ${who} or lies below a folder that cannot be entered. Give another one.`,
      );
    case 'no-folder':
      return new OperationalError(
        `no folder could be made in ${tmpdir()}. Set TMPDIR to a folder that ${who} may write in.\n${log}`,
      );
    case 'too-late':
      return new OperationalError(
        `the embedded PostgreSQL did not start within ${deadline} ms. Its log:\n${log}`,
      );
    case 'other':
      return new OperationalError(`the embedded PostgreSQL did not start. Its log:\n${log}`);
    default:
      return reason satisfies never;
  }
}
