import type { DBAPIError } from '../../../errors/errors.js';
import type { CommitWitness } from '../../commit-witness.js';
import type { CommandOptions, CommandResult } from '../../driver.js';
import type { SessionChanges } from '../../session-changes.js';
import type { ResolvedTypes } from '../../types/types.js';
import type { Slab } from '../wire/message-writer.js';
import type { ReportedParameters } from '../wire/reported-parameters.js';
import type { RowLayouts } from '../wire/row-layouts.js';
import type { Executemany, ExecutemanyContext } from './executemany.js';
import type { Step } from './pg-step.js';
import type { SettingsAs } from './set-local.js';
import type { PreparedStatements } from '../prepared/prepared-statements.js';

/** The columns of what comes, as pg's parser gives them. */
export interface RowDescription {
  readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[];
}

/** What a session knows that outlives a batch. */
export interface WireContext extends ExecutemanyContext {
  readonly prepared: PreparedStatements;
  readonly changes: SessionChanges;
  readonly types: ResolvedTypes;
  readonly layouts: RowLayouts;
  readonly reported: ReportedParameters;
  /** For what is about to be sent. */
  readonly slabs: Slab[];
  /** Errors of the server are made without values, so that no listener sees one. */
  readonly hideParameters?: boolean | undefined;
  /** Set where a session whose server has become read-only is of no use: called when it is. */
  readonly onRefusedWrite?: (() => void) | undefined;
  /** Set where the ids of transactions are asked for. */
  readonly witness?: CommitWitness | undefined;
  /** How settings are set in front of statements. Default `set_config`. */
  readonly settingsAs?: SettingsAs | undefined;
}

/** What is sent; once more where it has to be repeated. */
export interface PgBatchParts {
  /** Control first, then the commands. */
  readonly steps: readonly Step[];
  /** More steps, made and written while those before them run, under the same Sync. */
  readonly many:
    | ({ readonly executemany: Executemany; readonly pageSize: number } & Pick<CommandOptions, 'onProgress'>)
    | undefined;
  /** True: more than one statement has BEGIN and COMMIT around it, in its flight. */
  readonly isAtomic: boolean;
  readonly closePortals: readonly string[];
  /** Asked when it is its turn: why it must not be sent. */
  readonly refusal?: (() => Error | undefined) | undefined;
  /** A question of ours behind them, under the same Sync; its answer is not among the results. */
  readonly question?: Question | undefined;
}

export interface Question {
  readonly step: Step;
  /** It leaves, with what is in front of it. */
  sent(): void;
  answered(result: CommandResult): void;
}

/** Who hears of a batch. */
export interface BatchListener {
  /** ReadyForQuery; where the batch has failed, pg does not pass it on. */
  finished(): void;
  /** The server has refused a statement of it. */
  failed(): void;
  /** What the server sends can't be trusted: the session ends. */
  broken(error: DBAPIError): void;
}
