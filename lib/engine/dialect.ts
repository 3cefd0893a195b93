/** What kind of database an engine speaks to, and how. */
export interface Dialect {
  /** `postgresql`. */
  readonly name: string;
  /** `pg`. */
  readonly driver: string;
}
