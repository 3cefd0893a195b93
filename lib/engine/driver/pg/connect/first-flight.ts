import { DBAPIError, InterfaceError } from '../../../errors/errors.js';
import { ORIGIN_QUESTION, type CommitWitness } from '../../commit-witness.js';
import type { Command, CommandResult, DriverConnection } from '../../driver.js';
import { settingsCommand } from '../../session-changes.js';
import type { ResolvedTypes, TypeEntry } from '../../types/types.js';
import type { SharedTables } from './shared-tables.js';
import { arrayLiteral } from '../wire/arrays.js';
import type { ConnectDeadline } from './connect-deadline.js';

/** A statement that a session sends once, when it is new. */
interface Errand {
  readonly command: Command;
  answered(result: CommandResult): void;
}

/** What a new session needs before it is lent. */
export interface SessionNeeds {
  readonly settings: Readonly<Record<string, string>>;
  readonly types: ResolvedTypes;
  readonly tables: SharedTables;
  readonly witness: CommitWitness | undefined;
  /** Told why the server can't say how a COMMIT ended. */
  readonly commits: { unknown(error: Error): void } | undefined;
}

const LOOK_UP = `
  SELECT wanted, t.oid, t.typarray AS "arrayOid", t.typtype::text AS kind
  FROM unnest($1::text[]) AS wanted
  LEFT JOIN pg_catalog.pg_type t ON t.oid = CASE WHEN wanted ~ '^[0-9]+$' THEN wanted::oid ELSE to_regtype(wanted)::oid END`;

/** Sends all that `needs` takes in one flight; gives the types with what the database says of their names. */
export async function sendFirstFlight(
  connection: DriverConnection,
  needs: SessionNeeds,
  deadline: ConnectDeadline,
): Promise<ResolvedTypes> {
  let { types } = needs;
  const errands: Errand[] = [];
  const settings = settingsCommand(needs.settings);
  if (settings !== undefined) errands.push({ command: settings, answered: () => undefined });
  if (types.unresolved.size > 0) {
    const values = [arrayLiteral([...types.unresolved.keys()])];
    // Behind the settings: the search_path says what a name stands for.
    const answered = ({ rows }: CommandResult): void => {
      types = needs.tables.complete(needs.types, rows as unknown as readonly TypeEntry[]);
    };
    errands.push({ command: { text: LOOK_UP, values, prepare: false }, answered });
  }
  const { witness } = needs;
  if (witness === undefined) await send(connection, errands, deadline);
  else await sendWithOrigin(connection, errands, deadline, { ...needs, witness });
  return types;
}

/** A server that is not asked how a COMMIT ended is as good as any other. */
async function sendWithOrigin(
  connection: DriverConnection,
  errands: readonly Errand[],
  deadline: ConnectDeadline,
  { witness, commits }: { readonly witness: CommitWitness } & Pick<SessionNeeds, 'commits'>,
): Promise<void> {
  const answered = (origin: CommandResult): void => {
    try {
      witness.start(origin);
    } catch (error) {
      if (!(error instanceof InterfaceError)) throw error;
      commits?.unknown(error);
    }
  };
  try {
    await send(connection, [...errands, { command: ORIGIN_QUESTION, answered }], deadline);
  } catch (error) {
    const isOfOrigin = error instanceof DBAPIError && error.statement === ORIGIN_QUESTION.text;
    if (!isOfOrigin || error.connectionInvalidated || deadline.isOver) throw error;
    commits?.unknown(error);
    // The server has undone with it what was in front of it.
    await send(connection, errands, deadline);
  }
}

async function send(
  connection: DriverConnection,
  errands: readonly Errand[],
  deadline: ConnectDeadline,
): Promise<void> {
  if (errands.length === 0) return;
  const commands = errands.map(({ command }) => command);
  const results = await connection.executeMany([], commands, { timeout: deadline.left, isBatch: true });
  for (const [index, result] of results.entries()) errands[index]?.answered(result);
}
