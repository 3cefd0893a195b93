import { ArgumentError } from '../../../errors/errors.js';
import type { Command, CommandResult, CsvLines } from '../../driver.js';
import type { ParameterType } from '../../types/type-catalog.js';
import type { PreparedStatement } from '../prepared/prepared-statements.js';
import type { CsvWriter } from '../wire/csv-writer.js';
import { dependsOnType, encodeValues } from '../wire/encode-value.js';
import type { JsonSerializer } from '../wire/json-text.js';
import type { WireValue } from '../wire/message-writer.js';
import type { RowLayout } from '../wire/row-builder.js';

/**
 * A command, a control statement in front of one, or one more fetch from a portal that an earlier batch
 * opened.
 */
export interface WireCommand extends Command {
  readonly acknowledged?: (() => void) | undefined;
  /** The names of the settings that it changes until the transaction ends. */
  readonly settings?: readonly string[] | undefined;
  /** A named portal and how many rows to take from it; without it, all rows through the unnamed one. */
  readonly portal?: { readonly name: string; readonly rows: number } | undefined;
  /** Set where its rows are wanted as lines of CSV. */
  readonly csv?: CsvWriter | undefined;
  /** Set for a fetch from a portal that is bound already. */
  readonly bound?: RowLayout | undefined;
  /** What the server gets instead of `text`, which is what errors name. */
  readonly sql?: string | undefined;
  /** The values as they were given, for errors, where `values` are others. */
  readonly parameters?: readonly unknown[] | undefined;
  /** The types of the parameters that its values are written by. */
  readonly typeOids?: readonly number[] | undefined;
}

/** A command whose values are ready for the wire. */
export interface Step extends WireCommand {
  readonly values: readonly WireValue[];
  /** The values as they were given, for errors. */
  readonly parameters: readonly unknown[];
  readonly prepare: boolean;
  /** A value is written by the type of its parameter, which has to be known first. */
  readonly needsTypes: boolean;
  /** A statement of ours around that of the application. */
  readonly isControl: boolean;
}

/** Control after which a transaction takes no writes. */
export function isReadOnlyControl({ isControl, text, parameters }: Step): boolean {
  return isControl && (text.includes('READ ONLY') || parameters.includes('transaction_read_only'));
}

/** What the server gets of a command. */
export function sqlOf({ sql, text }: WireCommand): string {
  return sql ?? text;
}

const NO_VALUES: readonly WireValue[] = [];

/**
 * Encodes the values before anything is written, so that one that fails leaves no half batch on the wire.
 * `typeOf` gives the type of the parameter at a position; without it, values that need to know are encoded
 * once more when the server has said it.
 */
export function toStep(
  command: WireCommand,
  serializeJson?: JsonSerializer,
  isControl = false,
  typeOf?: (index: number) => ParameterType,
): Step {
  const { text } = command;
  if (text.includes('\0') || !text.isWellFormed())
    throw new ArgumentError(
      'the text of a statement has a NUL character or half of a surrogate pair, which PostgreSQL does not take.',
    );
  const given = command.values ?? NO_VALUES;
  const values = given.length === 0 ? NO_VALUES : encodeValues(command, serializeJson, typeOf);
  // Written out: all steps have one hidden class, and a copy by spreading is slow.
  return {
    text,
    values,
    parameters: command.parameters ?? given,
    // Never parsed beforehand: a COPY that was repeated would find its source empty.
    prepare: command.copy === undefined && (command.prepare ?? true),
    simple: command.simple,
    copy: command.copy,
    acknowledged: command.acknowledged,
    settings: command.settings,
    portal: command.portal,
    csv: command.csv,
    bound: command.bound,
    sql: command.sql,
    typeOids: command.typeOids,
    needsTypes: typeOf === undefined && given.some(dependsOnType),
    isControl,
  };
}

export interface StepResult extends CommandResult {
  /** The portal has more rows. */
  readonly isSuspended: boolean;
  layout: RowLayout | undefined;
  shape: RowLayout | undefined;
  readonly bytes: number;
  /** Rows that can't be read before the database was asked about their types, behind those in `rows`. */
  readonly unread: Buffer[];
  /** Its rows, where they were wanted so and could be written. */
  readonly csv: CsvLines | undefined;
}

/** What has come of the answer to one step. */
export interface StepAnswer extends Pick<StepResult, 'rows' | 'unread'> {
  layout: RowLayout | undefined;
  /** Of its rows on the wire. */
  bytes: number;
  /** Set where its rows are wanted as lines of CSV. */
  readonly csv: CsvWriter | undefined;
}

/** The whole answer; `tag` is what the step has done. */
export function stepResult(
  tag: string,
  { layout, rows, bytes, unread, csv }: StepAnswer,
  isSuspended: boolean,
): StepResult {
  const space = tag.lastIndexOf(' ');
  const count = space === -1 ? Number.NaN : Number(tag.slice(space + 1));
  return {
    command: Number.isNaN(count) ? tag : tag.slice(0, tag.indexOf(' ')),
    rowCount: Number.isNaN(count) ? -1 : count,
    shape: layout,
    layout,
    rows,
    bytes,
    unread,
    csv: csv?.take(),
    isSuspended,
  };
}

/** The types that have to be known before the rows that wait can be read. */
export function unreadTypes(results: readonly StepResult[]): readonly number[] {
  return results.flatMap(({ unread, layout }) => (unread.length === 0 ? [] : (layout?.unknownTypes ?? [])));
}

/** Reads the rows that had to wait for that; `statements` are what each result is of. */
export function readUnread(
  results: readonly StepResult[],
  statements: readonly (PreparedStatement | undefined)[],
  refuse: (cause: unknown) => void,
): void {
  for (const [index, result] of results.entries()) {
    if (result.unread.length === 0 || result.layout === undefined) continue;
    const layout = result.layout.renewed();
    result.layout = layout;
    result.shape = layout;
    const statement = statements[index];
    if (statement?.layout !== undefined) statement.layout = layout;
    try {
      for (const row of result.unread) result.rows.push(layout.build(row, 0, row.length));
    } catch (cause) {
      refuse(cause);
    }
  }
}
