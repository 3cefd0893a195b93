/** A row of a statement whose row type was not given. */
export type Row = Record<string, unknown>;

/** Values for the `:name` binds of one `text()`. Extra keys are ignored. */
export type Parameters = Readonly<Record<string, unknown>>;

/** A statement ready for a driver: `$1` placeholders, values by position. */
export interface CompiledStatement {
  readonly text: string;
  readonly values: readonly unknown[];
}
