import type { Socket } from 'node:net';
import type { Client } from 'pg';
import { DBAPIError, InterfaceError, OperationalError } from '../../../errors/errors.js';
import { CommitWitness } from '../../commit-witness.js';
import { completeTypes, resolveTypes } from '../../types/types.js';
import type { ResolvedTypes, TypeEntry } from '../../types/types.js';
import type { Command, CommandResult, DriverConnection } from '../../driver.js';
import { SessionChanges, settingsCommand } from '../../session-changes.js';
import { PgConnection } from '../session/pg-connection.js';
import { connectError } from '../session/pg-error.js';
import type { SettingsAs } from '../session/set-local.js';
import type { ExecutemanyForm } from '../session/executemany.js';
import type { JsonSerializer } from '../wire/json-text.js';
import { arrayLiteral } from '../wire/arrays.js';
import { READ_STYLES } from '../wire/styles.js';
import { PreparedStatements } from '../prepared/prepared-statements.js';
import type { SessionTraits } from '../session/pg-connection.js';
import { StatementRegistry } from '../prepared/statement-registry.js';
import type { ConnectDeadline } from './connect-deadline.js';
import { connectClient } from './traced-connect.js';

export const CONNECT_TIMEOUT = 10_000;

/** Of Linux; other systems stay below it. */
const LARGEST_PROCESS_ID = 4_194_304;

/** What the sessions of every driver have. */
export interface SessionOptions {
  /** Milliseconds, for one attempt with all its hosts; 0: no limit. Default 10,000. */
  readonly connectTimeout?: number | undefined;
  /** Milliseconds without a byte of the server, while one is waited for, that end a session; 0: no limit. */
  readonly socketTimeout?: number | undefined;
  /** Named statements per session; 0: none. */
  readonly preparedStatementCacheSize: number;
  /** What the sessions of an engine know of each other's statements. Default: nothing. */
  readonly statements?: StatementRegistry | undefined;
  /** True: a pooler in transaction mode is in front of the server. Default false. */
  readonly pgbouncer?: boolean | undefined;
  readonly types: ResolvedTypes;
  /** `set_config` of each, once a session is open: poolers refuse startup parameters. */
  readonly settings: Readonly<Record<string, string>>;
  /** Keeps values out of what errors show. */
  readonly hideParameters?: boolean | undefined;
  /** Set: a session that refuses a write (25006) outside of a read-only transaction is replaced. */
  readonly onRefusedWrite?: (() => void) | undefined;
  /** How objects are sent. Default `JSON.stringify`. */
  readonly jsonSerializer?: JsonSerializer | undefined;
  /** Default `set_config`. */
  readonly settingsAs?: SettingsAs | undefined;
  /** Default `auto`. */
  readonly executemany?: ExecutemanyForm | undefined;
  /** Set: the ids of transactions are asked for; told why the server can't say what it takes. */
  readonly commits?: { unknown(error: Error): void } | undefined;
}

interface SessionPlace {
  readonly traits?: SessionTraits;
  /** For errors. Default: the host and port of the client. */
  readonly where?: string;
}

/** Connects `client`, unless it is connected; a session that can't be made as `options` say is ended. */
export async function openSession(
  client: Client,
  options: SessionOptions,
  deadline: ConnectDeadline,
  { traits = {}, where = `${client.host}:${client.port}` }: SessionPlace = {},
): Promise<PgConnection> {
  const { preparedStatementCacheSize: size, statements = new StatementRegistry() } = options;
  const prepared = new PreparedStatements(size, statements);
  const settings = { ...options.settings };
  const changes = new SessionChanges(settings, traits.isConnected === true);
  // The look-up reads what it asks for by the built-in rules.
  const { hideParameters, onRefusedWrite, jsonSerializer: serializeJson, settingsAs, executemany } = options;
  const witness =
    options.commits && new CommitWitness(() => (client as Client & { processID?: number }).processID);
  const types = resolveTypes();
  const forms = { hideParameters, onRefusedWrite, serializeJson, settingsAs, executemany };
  const context = { prepared, changes, types, witness, ...forms };
  const connection = new PgConnection(client, context, { isPooled: options.pgbouncer === true, ...traits });
  try {
    if (traits.isConnected !== true) {
      await connectClient(client);
      forgetPassword(client);
    }
  } catch (cause) {
    connection.terminate();
    throw cause instanceof InterfaceError ? misbehaved(cause, where) : connectError(cause, where);
  }
  prepared.isUncertain = options.pgbouncer !== true && isMadeUp(connection.processId);
  endSilence(client, connection, options.socketTimeout);
  try {
    addStyles(settings, connection);
    const command = settingsCommand(settings);
    if (command !== undefined) await ask(connection, deadline, command);
    // Behind the settings: the search_path says what a name stands for.
    const isComplete = options.types.unresolved.size === 0;
    context.types = isComplete ? options.types : await lookUpTypes(connection, options, deadline);
    if (witness !== undefined) await startWitness(witness, connection, options, deadline);
    changes.clear();
    return connection;
  } catch (error) {
    connection.terminate();
    throw error;
  }
}

/** Nothing needs it any more, and listeners get the client, which `%o` shows with what is not enumerable. */
function forgetPassword(client: Client): void {
  const { connectionParameters } = client as Client & { readonly connectionParameters?: object };
  Object.assign(client, { password: null });
  if (connectionParameters !== undefined) Object.assign(connectionParameters, { password: null });
}

function misbehaved(cause: InterfaceError, where: string): InterfaceError {
  return new InterfaceError(`cannot connect to ${where}: ${cause.message}`, { cause });
}

/** A pooler that gives its clients no process of their own makes up a number, mostly one that none has. */
function isMadeUp(processId = 0): boolean {
  return processId < 0 || processId > LARGEST_PROCESS_ID;
}

/** A server that was frozen, or whose machine is gone, says nothing: TCP alone would wait for minutes. */
function endSilence(client: Client, connection: PgConnection, socketTimeout = 0): void {
  const stream = client.connection.stream as Partial<Socket>;
  if (socketTimeout === 0) return;
  stream.setTimeout?.(socketTimeout, () => {
    if (connection.isQuiet || connection.awaitsApplication) return;
    stream.destroy?.(
      new OperationalError(
        `the server has sent nothing for ${socketTimeout} ms (socketTimeout) while an answer was due.`,
      ),
    );
  });
}

/** Where a database or a role has other styles, values would come in a form that is not read. */
function addStyles(settings: Record<string, string>, connection: PgConnection): void {
  const names = new Set(Object.keys(settings).map((name) => name.toLowerCase()));
  for (const [name, style] of READ_STYLES) {
    const isOther = isOtherStyle(connection.reported(name), style);
    if (isOther && !names.has(name.toLowerCase())) settings[name] = style;
  }
}

/** `ISO, DMY` is the style ISO; its order of day and month is for reading only. */
function isOtherStyle(reported: string | undefined, style: string): boolean {
  return reported !== undefined && reported.split(',')[0] !== style;
}

const LOOK_UP = `
  SELECT wanted, t.oid, t.typarray AS "arrayOid", t.typtype::text AS kind
  FROM unnest($1::text[]) AS wanted
  LEFT JOIN pg_catalog.pg_type t ON t.oid = CASE WHEN wanted ~ '^[0-9]+$' THEN wanted::oid ELSE to_regtype(wanted)::oid END`;

async function lookUpTypes(
  connection: DriverConnection,
  options: SessionOptions,
  deadline: ConnectDeadline,
): Promise<ResolvedTypes> {
  const wanted = [...options.types.unresolved.keys()];
  const { rows } = await ask(connection, deadline, { text: LOOK_UP, values: [arrayLiteral(wanted)] });
  return completeTypes(options.types, rows as unknown as readonly TypeEntry[]);
}

/** A server that is not asked how a COMMIT ended is as good as any other. */
async function startWitness(
  witness: CommitWitness,
  connection: DriverConnection,
  { commits }: SessionOptions,
  deadline: ConnectDeadline,
): Promise<void> {
  try {
    await witness.start((question) => ask(connection, deadline, question));
  } catch (error) {
    if (!(error instanceof DBAPIError) || error.connectionInvalidated || deadline.isOver) throw error;
    commits?.unknown(error);
  }
}

/** A statement that is sent once per session. */
function ask(
  connection: DriverConnection,
  deadline: ConnectDeadline,
  command: Command,
): Promise<CommandResult> {
  return connection.execute([], { ...command, prepare: false }, { timeout: deadline.left });
}
