import type { Client } from 'pg';
import { completeTypes, resolveTypes } from '../../types/types.js';
import type { ResolvedTypes, TypeEntry } from '../../types/types.js';
import type { Command, CommandResult, DriverConnection } from '../../driver.js';
import { PgConnection } from '../session/pg-connection.js';
import { connectError } from '../session/pg-error.js';
import type { JsonSerializer } from '../session/pg-step.js';
import { PreparedStatements } from '../session/prepared-statements.js';
import type { SessionTraits } from '../session/session-traits.js';

export const CONNECT_TIMEOUT = 10_000;

/** What every session of a driver gets, whatever it reaches its server over. */
export interface SessionOptions {
  /** Milliseconds; 0: no limit. Default 10,000. */
  readonly connectTimeout?: number | undefined;
  /** Named statements per session; 0: none. */
  readonly preparedStatementCacheSize: number;
  readonly types: ResolvedTypes;
  /** `set_config` of each, once a session is open: poolers refuse startup parameters. */
  readonly settings: Readonly<Record<string, string>>;
  /** How objects are sent. Default `JSON.stringify`. */
  readonly jsonSerializer?: JsonSerializer | undefined;
}

/**
 * Connects `client`, where nobody has; a session that can't be made as `options` say is ended. `where` is for
 * the error.
 */
export async function openSession(
  client: Client,
  options: SessionOptions,
  traits: SessionTraits = {},
  where = `${client.host}:${client.port}`,
): Promise<DriverConnection> {
  const prepared = new PreparedStatements(options.preparedStatementCacheSize);
  // The look-up reads what it asks for by the rules that everybody knows.
  const context = { prepared, types: resolveTypes(), serializeJson: options.jsonSerializer };
  const connection = new PgConnection(client, context, traits);
  try {
    if (traits.isConnected !== true) await client.connect();
  } catch (cause) {
    connection.terminate();
    throw connectError(cause, where);
  }
  try {
    await applySettings(connection, options);
    // Behind the settings: the search_path says what a name stands for.
    const isComplete = options.types.unresolved.size === 0;
    context.types = isComplete ? options.types : await lookUpTypes(connection, options);
    return connection;
  } catch (error) {
    connection.terminate();
    throw error;
  }
}

async function applySettings(connection: DriverConnection, options: SessionOptions): Promise<void> {
  const entries = Object.entries(options.settings);
  if (entries.length === 0) return;
  const calls = entries.map((_, index) => `set_config($${2 * index + 1}, $${2 * index + 2}, FALSE)`);
  await ask(connection, options, { text: `SELECT ${calls.join(', ')}`, values: entries.flat() });
}

const LOOK_UP = `
  SELECT wanted, t.oid, t.typarray AS "arrayOid", t.typtype::text AS kind
  FROM unnest($1::text[]) AS wanted
  LEFT JOIN pg_catalog.pg_type t ON t.oid = CASE WHEN wanted ~ '^[0-9]+$' THEN wanted::oid ELSE to_regtype(wanted)::oid END`;

async function lookUpTypes(connection: DriverConnection, options: SessionOptions): Promise<ResolvedTypes> {
  const wanted = [...options.types.unresolved.keys()];
  const { rows } = await ask(connection, options, { text: LOOK_UP, values: [wanted] });
  return completeTypes(options.types, rows as unknown as readonly TypeEntry[]);
}

/** A statement that is sent once per session. */
function ask(
  connection: DriverConnection,
  options: SessionOptions,
  command: Command,
): Promise<CommandResult> {
  // 0 is no deadline, as it is for pg.
  const timeout = (options.connectTimeout ?? CONNECT_TIMEOUT) || undefined;
  return connection.execute([], { ...command, prepare: false }, { timeout });
}
