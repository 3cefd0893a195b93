/** Where sessions find what others of their engine were told. */
interface KnownParameters {
  /** The table of a session that was told the same, or `values`. */
  sameAs(values: Map<string, string>): Map<string, string>;
}

/** What the server has reported of the parameters of a session, by their names as PostgreSQL writes them. */
export class ReportedParameters {
  #values = new Map<string, string>();
  /** `shared`: other sessions read the table, too. */
  #state: 'own' | 'shared' = 'own';

  get(name: string): string | undefined {
    return this.#values.get(name);
  }

  set(name: string, value: string): void {
    if (this.#state === 'shared') this.#values = new Map(this.#values);
    this.#state = 'own';
    this.#values.set(name, value);
  }

  /** The session is open: most are told the same then, and never anything else. */
  share(known: KnownParameters): void {
    this.#values = known.sameAs(this.#values);
    this.#state = 'shared';
  }
}
