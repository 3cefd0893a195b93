import type { Socket } from 'node:net';
import type { Client } from 'pg';
import { InterfaceError } from '../../../errors/errors.js';
import { CommitWitness } from '../../commit-witness.js';
import type { ServerRole } from '../../driver.js';
import type { ResolvedTypes } from '../../types/types.js';
import { SessionChanges } from '../../session-changes.js';
import type { WireContext } from '../session/batch-parts.js';
import { PgConnection, type SessionTraits } from '../session/pg-connection.js';
import { connectError } from '../session/pg-error.js';
import type { SettingsAs } from '../session/set-local.js';
import type { ExecutemanyForm } from '../session/executemany.js';
import type { JsonSerializer } from '../wire/json-text.js';
import { SilenceLimit } from '../wire/silence-limit.js';
import { READ_STYLES } from '../wire/styles.js';
import { PreparedStatements } from '../prepared/prepared-statements.js';
import { StatementRegistry } from '../prepared/statement-registry.js';
import type { ConnectDeadline } from './connect-deadline.js';
import { ReportedParameters } from '../wire/reported-parameters.js';
import { sendFirstFlight } from './first-flight.js';
import { forgetLogin } from './forget-login.js';
import { SharedTables } from './shared-tables.js';
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
  /** What the sessions of an engine have together. Default: nothing. */
  readonly tables?: SharedTables | undefined;
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
  /** Of an engine with replicas. A write that a replica refuses says nothing of its sessions. */
  readonly role?: ServerRole | undefined;
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
  const { statements = new StatementRegistry(), tables = new SharedTables() } = options;
  const prepared = new PreparedStatements(options.preparedStatementCacheSize, statements);
  const settings = { ...options.settings };
  const changes = new SessionChanges(settings, traits.isConnected === true);
  const witness =
    options.commits && new CommitWitness(() => (client as Client & { processID?: number }).processID);
  const reported = new ReportedParameters();
  const context = contextOf(options, tables, { prepared, changes, reported, witness });
  const { role, pgbouncer: isPooled = false } = options;
  const connection = new PgConnection(client, context, { isPooled, role, ...traits });
  try {
    if (traits.isConnected !== true) {
      await connectClient(client);
      forgetLogin(client);
    }
  } catch (cause) {
    connection.terminate();
    throw cause instanceof InterfaceError ? misbehaved(cause, where) : connectError(cause, where);
  }
  prepared.isUncertain = options.pgbouncer !== true && isMadeUp(connection.processId);
  limitSilence(connection, options.socketTimeout);
  try {
    addStyles(settings, reported);
    const needs = { settings, types: options.types, tables, witness, commits: options.commits };
    context.types = await sendFirstFlight(connection, needs, deadline);
    context.layouts = tables.layoutsOf(context.types);
    changes.clear();
    reported.share(tables);
    return connection;
  } catch (error) {
    connection.terminate();
    throw error;
  }
}

function misbehaved(cause: InterfaceError, where: string): InterfaceError {
  return new InterfaceError(`cannot connect to ${where}: ${cause.message}`, { cause });
}

/** A pooler that gives its clients no process of their own makes up a number, mostly one that none has. */
function isMadeUp(processId = 0): boolean {
  return processId < 0 || processId > LARGEST_PROCESS_ID;
}

/** What a session knows before it is open; `own` belongs to it alone. */
function contextOf(
  options: SessionOptions,
  tables: SharedTables,
  {
    prepared,
    changes,
    reported,
    witness,
  }: Pick<WireContext, 'prepared' | 'changes' | 'reported' | 'witness'>,
) {
  const { hideParameters, onRefusedWrite, jsonSerializer: serializeJson, settingsAs, executemany } = options;
  return {
    prepared,
    changes,
    // The look-up reads what it asks for by the built-in rules.
    types: tables.builtinTypes,
    layouts: tables.layoutsOf(tables.builtinTypes),
    reported,
    slabs: tables.slabs,
    witness,
    hideParameters,
    onRefusedWrite,
    serializeJson,
    settingsAs,
    executemany,
  };
}

function limitSilence(connection: PgConnection, socketTimeout = 0): void {
  // A stream that is not a socket may have no timer.
  const stream = connection.client.connection.stream as Socket & Partial<Pick<Socket, 'setTimeout'>>;
  if (socketTimeout === 0 || stream.setTimeout === undefined) return;
  const isDue = (): boolean => !connection.isQuiet && !connection.awaitsApplication;
  connection.wire.silence = new SilenceLimit(stream, socketTimeout, isDue);
}

/** Where a database or a role has other styles, values would come in a form that is not read. */
function addStyles(settings: Record<string, string>, reported: ReportedParameters): void {
  const names = new Set(Object.keys(settings).map((name) => name.toLowerCase()));
  for (const [name, style] of READ_STYLES) {
    const isOther = isOtherStyle(reported.get(name), style);
    if (isOther && !names.has(name.toLowerCase())) settings[name] = style;
  }
}

/** `ISO, DMY` is the style ISO; its order of day and month is for reading only. */
function isOtherStyle(reported: string | undefined, style: string): boolean {
  return reported !== undefined && reported.split(',')[0] !== style;
}
