import { prepareValue } from 'pg/lib/utils.js';
import { ArgumentError, StatementError } from '../../errors.js';
import type { Command } from '../driver.js';
import type { RowLayout } from './row-builder.js';

/** Bind counts its values in 16 bits. */
const MAX_VALUES = 65_535;

export type WireValue = string | Buffer | null;

/** A command, a control statement in front of one, or one more fetch from a portal that an earlier batch opened. */
export interface WireCommand extends Command {
  acknowledged?(): void;
  /** A named portal and how many rows to take from it; without it, all rows through the unnamed one. */
  readonly portal?: { readonly name: string; readonly rows: number };
  /** Set for a fetch from a portal that is bound already. */
  readonly bound?: RowLayout;
}

/** A command whose values are ready for the wire. */
export interface Step extends WireCommand {
  readonly values: readonly WireValue[];
  /** The values as they were given, for errors. */
  readonly parameters: readonly unknown[];
  readonly prepare: boolean;
}

const NO_VALUES: readonly WireValue[] = [];

/** Encodes the values before anything is written, so that one that fails leaves no half batch on the wire. */
export function toStep(command: WireCommand): Step {
  const parameters = command.values ?? NO_VALUES;
  const values = parameters.length === 0 ? NO_VALUES : encode(command.text, parameters);
  return { ...command, values, parameters, prepare: command.prepare ?? true };
}

function encode(statement: string, values: readonly unknown[]): WireValue[] {
  if (values.length > MAX_VALUES) {
    throw new ArgumentError(
      `the statement has ${values.length} parameters; the protocol takes ${MAX_VALUES}. ` +
        `Pass arrays (unnest) or several parameter sets.`,
    );
  }
  return values.map((value, index) => {
    try {
      if (value instanceof Date && Number.isNaN(value.getTime()))
        throw new ArgumentError('it is an invalid Date');
      if (typeof value === 'function' || typeof value === 'symbol')
        throw new ArgumentError(`it is a ${typeof value}`);
      return prepareValue(value);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const message = `parameter $${index + 1} cannot be sent: ${reason}`;
      throw new StatementError(message, { cause, statement, parameters: values });
    }
  });
}
