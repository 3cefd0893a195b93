import { spawn, type ChildProcess } from 'node:child_process';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { claimFolder, passwordFile } from './data-directory.js';
import type { ServerUser } from './server-user.js';

/*
 * Runs initdb and the server, and waits for the end of its input, which comes however our process dies. Then
 * it stops what runs, removes the folder and ends. It makes that folder itself, so that there is no moment
 * without an owner. A new cluster is made in a folder inside the data directory, which only one of several
 * starts can make, and is moved to its place when it is whole: PG_VERSION comes last. A replica begins as a
 * copy of a running server's data directory: a file that is dropped meanwhile is missing, as its WAL says.
 *
 * The signal is repeated, as a program that has only just been forked does not listen yet.
 */
const script = `
folder=$1 data=$2 signal=$3 initdb=$4 options=$5 source=$6 claim=
shift 6
umask 077
trap '' INT TERM HUP
exec 3<&0 </dev/null
run() {
  "$@" 3<&- >&2 & child=$!
  { while read -r line; do :; done
    while kill -s "$signal" "$child"; do kill -s CONT "$child"; sleep 0.1; done
  } <&3 >/dev/null 2>&1 & watcher=$!
  wait "$child"; status=$?
  { kill -s KILL "$watcher"; wait "$watcher"; } 2>/dev/null
  return "$status"
}
finish() {
  test -z "$claim" || rm -rf "$claim"
  rm -rf "$folder" || { sleep 1; rm -rf "$folder"; }
  exit "$1"
}
mkdir -m 700 "$folder" || exit 73
echo made
IFS= read -r password <&3 || finish 1
case $data in "$folder"/*) mkdir "$data" ;; *) test -w "$data" || finish 77 ;; esac
if test -n "$initdb"; then
  test ! -e "$data/PG_VERSION" || finish 78
  mkdir "$data/${claimFolder}" || finish 78
  claim=$data/${claimFolder}
  chmod 700 "$data"
  printf '%s\\n' "$password" >"$folder/password"
  run "$initdb" -D "$claim/cluster" -U postgres -A scram-sha-256 --pwfile="$folder/password" -E UTF8 --locale=C $options \\
    || finish "$status"
  case $data in "$folder"/*) rm "$folder/password" ;; *) mv "$folder/password" "$claim/cluster/${passwordFile}" ;; esac
  mv "$claim/cluster/PG_VERSION" "$claim/" && mv "$claim/cluster"/* "$data/" && mv "$claim/PG_VERSION" "$data/" \\
    && rm -rf "$claim" || finish 1
fi
if test -n "$source"; then
  (cd "$source" && tar -cf - --exclude ./postmaster.pid --exclude ./postmaster.opts --exclude './pg_wal/*' \\
    --exclude './pg_replslot/*' --exclude './pgsql_tmp*' .) | (cd "$data" && tar -xf -) || finish 1
  mkdir -p "$data/pg_wal/archive_status" "$data/pg_wal/summaries" || finish 1
  echo copied
  IFS= read -r conninfo <&3 || finish 1
  printf "primary_conninfo = '%s'\\n" "$conninfo" >>"$data/postgresql.auto.conf"
  while IFS= read -r line <&3 && test -n "$line"; do printf '%s\\n' "$line"; done >"$data/backup_label"
  : >"$data/standby.signal"
fi
run "$@"
finish "$status"
`;

/** How many characters of the server's log are kept while it starts. */
const logLimit = 65_536;
/** How long a server that should stop is waited for after a failed start. */
const grace = 10_000;

interface GuardPlan {
  /** Must not exist; is removed at the end. */
  readonly folder: string;
  /** Below `folder`: temporary. Elsewhere: kept. */
  readonly dataDir: string;
  /** QUIT stops the server at once, INT after a checkpoint. */
  readonly signal: 'INT' | 'QUIT';
  /** Undefined: there is a cluster already. */
  readonly initdb: string | undefined;
  readonly initdbOptions: readonly string[];
  /** For a replica: the server whose data directory is copied while it runs. */
  readonly source: ReplicaSource | undefined;
  /** The server's program and its arguments. */
  readonly server: readonly string[];
  readonly user: ServerUser;
}

/** A running server that a replica is made of. */
export interface ReplicaSource {
  readonly dataDir: string;
  /** The data directory may be copied from now on. */
  begin(): Promise<void>;
  /** It was copied: gives what the copy begins with, as lines, the connection to the server first. */
  finish(): Promise<readonly string[]>;
}

/** Why the server did not start. */
export interface StartFailure {
  readonly reason:
    | 'no-folder'
    | 'data-dir-unreachable'
    | 'data-dir-in-use'
    | 'server-in-data-dir'
    | 'port-taken'
    | 'too-late'
    | 'other';
  readonly log: string;
}

/**
 * A shell that owns the server and its folder, and outlives this process by as long as it takes to remove
 * both.
 */
export class WatchdogProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #source: ReplicaSource | undefined;
  #log = '';

  constructor(plan: GuardPlan) {
    this.#source = plan.source;
    this.#child = spawn(
      '/bin/sh',
      [
        '-c',
        script,
        'embedded-postgres',
        plan.folder,
        plan.dataDir,
        plan.signal,
        plan.initdb ?? '',
        plan.initdbOptions.join(' '),
        plan.source?.dataDir ?? '',
        ...plan.server,
      ],
      // A session of its own: Ctrl-C reaches the application, which may still need its database while it
      // closes.
      { ...plan.user, cwd: '/', env: environment(), detached: true, stdio: ['pipe', 'pipe', 'pipe'] },
    );
    this.#ended = new Promise((resolve) => {
      this.#child.once('close', () => resolve());
      this.#child.once('error', (error) => {
        this.#keep(error.message);
        resolve();
      });
    });
    // A guard that has gone is noticed by its `close`, a broken pipe to it adds nothing.
    for (const stream of this.#child.stdio) stream?.on('error', () => undefined);
  }

  /**
   * Resolves when the server takes connections, or with the reason why it never will; then everything is
   * removed.
   */
  async start(
    password: string,
    prepare: () => Promise<void>,
    deadline: number,
  ): Promise<StartFailure | undefined> {
    const { promise: tooLate, cancel } = timer(deadline);
    try {
      const ready = this.#reads(this.#child.stderr, 'ready to accept ');
      const made = await Promise.race([this.#reads(this.#child.stdout, 'made'), tooLate]);
      if (made !== true) return await this.#failure(made === false ? 'no-folder' : made);
      const copied = this.#reads(this.#child.stdout, 'copied');
      await prepare();
      await this.#source?.begin();
      this.#child.stdin?.write(`${password}\n`);
      if (this.#source !== undefined && (await Promise.race([copied, tooLate])) === true)
        this.#child.stdin?.write([...(await this.#source.finish()), '', ''].join('\n'));
      const started = await Promise.race([ready, tooLate]);
      if (started !== true) return await this.#failure(started === false ? this.#reason() : started);
    } catch (error) {
      await this.#abandon();
      throw error;
    } finally {
      cancel();
    }
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.removeAllListeners('data').resume();
    this.#holdProcess(false);
    return undefined;
  }

  /** Stops the server, removes the folder and resolves when both are gone. */
  async stop(): Promise<void> {
    this.#holdProcess(true);
    this.#child.stdin?.end();
    await this.#ended;
  }

  /** True when `text` came on `stream`, false when the guard ended without it. */
  #reads(stream: Readable | null, text: string): Promise<boolean> {
    return new Promise((resolve) => {
      let tail = '';
      stream?.on('data', (chunk: Buffer) => {
        this.#keep(chunk.toString());
        tail = (tail + chunk.toString()).slice(-logLimit);
        if (tail.includes(text)) resolve(true);
      });
      void this.#ended.then(() => resolve(false));
    });
  }

  #keep(text: string): void {
    this.#log = (this.#log + text).slice(-logLimit);
  }

  async #failure(reason: StartFailure['reason']): Promise<StartFailure> {
    await this.#abandon();
    return { reason, log: this.#log.trim() };
  }

  async #abandon(): Promise<void> {
    const { promise, cancel } = timer(grace);
    await Promise.race([this.stop(), promise]);
    cancel();
  }

  #reason(): StartFailure['reason'] {
    if (this.#child.exitCode === 77) return 'data-dir-unreachable';
    if (this.#child.exitCode === 78) return 'data-dir-in-use';
    if (this.#log.includes('lock file "postmaster.pid" already exists')) return 'server-in-data-dir';
    if (/could not bind .*: Address already in use/.test(this.#log)) return 'port-taken';
    return 'other';
  }

  /** Whether the guard keeps this process alive. */
  #holdProcess(hold: boolean): void {
    const parts = [this.#child, ...this.#child.stdio.filter((stream) => stream instanceof Socket)];
    for (const part of parts) {
      if (hold) part.ref();
      else part.unref();
    }
  }
}

/** Only what the programs need: the application's own environment may hold secrets. */
function environment(): NodeJS.ProcessEnv {
  const zone = process.env['TZ'];
  return {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    LC_ALL: 'C',
    ...(zone === undefined ? {} : { TZ: zone }),
  };
}

function timer(milliseconds: number): { promise: Promise<'too-late'>; cancel: () => void } {
  let cancel = (): void => undefined;
  const promise = new Promise<'too-late'>((resolve) => {
    const handle = setTimeout(() => resolve('too-late'), milliseconds);
    cancel = () => clearTimeout(handle);
  });
  return { promise, cancel };
}
