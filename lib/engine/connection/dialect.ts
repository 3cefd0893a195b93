/** What kind of database an engine speaks to, and how. */
export interface Dialect {
  /** `postgresql`. */
  readonly name: string;
  /** `pg` or `pglite`. */
  readonly driver: string;
}
