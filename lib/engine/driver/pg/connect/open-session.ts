import type { Socket } from 'node:net';
import type { Client } from 'pg';
import { InterfaceError } from '../../../errors/errors.js';
import { OperationalError } from '../../../errors/server-errors.js';
import { CommitWitness } from '../../commit-witness.js';
import type { ServerRole } from '../../driver.js';
import { resolveTypes, type ResolvedTypes } from '../../types/types.js';
import { SessionChanges } from '../../session-changes.js';
import { PgConnection, type SessionTraits } from '../session/pg-connection.js';
import { connectError } from '../session/pg-error.js';
import type { SettingsAs } from '../session/set-local.js';
import type { ExecutemanyForm } from '../session/executemany.js';
import type { JsonSerializer } from '../wire/json-text.js';
import { RowLayouts } from '../wire/row-layouts.js';
import { READ_STYLES } from '../wire/styles.js';
import { PreparedStatements } from '../prepared/prepared-statements.js';
import { StatementRegistry } from '../prepared/statement-registry.js';
import type { ConnectDeadline } from './connect-deadline.js';
import { sendFirstFlight } from './first-flight.js';
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
  const context = { prepared, changes, types, layouts: new RowLayouts(types), witness, ...forms };
  const { role, pgbouncer: isPooled = false } = options;
  const connection = new PgConnection(client, context, { isPooled, role, ...traits });
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
    const needs = { settings, types: options.types, witness, commits: options.commits };
    context.types = await sendFirstFlight(connection, needs, deadline);
    context.layouts = new RowLayouts(context.types);
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
