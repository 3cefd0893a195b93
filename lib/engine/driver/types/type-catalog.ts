import { ELEMENT_OIDS, SINGLE_OIDS } from './builtin-types.js';

/** What the database says of a type that PostgreSQL does not come with. */
export interface CatalogEntry {
  readonly oid: number;
  /** The type under a domain; null for any other type. */
  readonly baseOid: number | null;
  /**
   * The type of an array's elements; null where it is not an array, or one without commas between its
   * elements.
   */
  readonly elementOid: number | null;
  /** True: it is an enum, or written as a string is (`citext`). */
  readonly isWord: boolean;
}

/** A look-up that has no answer for an OID is not repeated: it asks for the whole way down at once. */
const UNKNOWN: Omit<CatalogEntry, 'oid'> = { baseOid: null, elementOid: null, isWord: false };

/**
 * Every type that can be reached from the wanted ones: domains over domains, arrays of domains, domains over
 * arrays. The list is text, so that this statement needs no look-up itself.
 */
export const CATALOG_QUERY = `
  WITH RECURSIVE known(oid, "baseOid", "elementOid", "isWord") AS (
    SELECT t.oid, NULLIF(t.typbasetype, 0), e.oid, t.typcategory IN ('E', 'S')
    FROM pg_catalog.pg_type t
    LEFT JOIN pg_catalog.pg_type e
      ON e.oid = t.typelem AND t.typtype = 'b' AND t.typcategory = 'A' AND e.typdelim = ','
    WHERE t.oid = ANY (CAST(CAST($1 AS pg_catalog.text) AS pg_catalog.oid[]))
    UNION
    SELECT t.oid, NULLIF(t.typbasetype, 0), e.oid, t.typcategory IN ('E', 'S')
    FROM known
    JOIN pg_catalog.pg_type t ON t.oid IN (known."baseOid", known."elementOid")
    LEFT JOIN pg_catalog.pg_type e
      ON e.oid = t.typelem AND t.typtype = 'b' AND t.typcategory = 'A' AND e.typdelim = ','
  )
  SELECT oid, "baseOid", "elementOid", "isWord" FROM known`;

const JSON_OIDS: ReadonlySet<number> = new Set([114, 3802]);
/** From here on, OIDs are given by each server: to types of its users and of its information schema. */
const FIRST_GIVEN_OID = 10_000;

/** How a JavaScript list is written as the value of a parameter. */
export interface ParameterType {
  /** json, jsonb, or a domain over them: the list is one JSON value. */
  readonly isJson: boolean;
  /** The type of the elements of an array. */
  readonly elementOid: number | undefined;
  /** Each element of the array is one JSON value, also where it is a list itself. */
  readonly hasJsonElements: boolean;
  /** It takes one value, and no list. */
  readonly isSingle: boolean;
}

/**
 * The types that only the database knows, as far as an engine has met them: domains, arrays of domains and
 * of enums.
 */
export class TypeCatalog {
  readonly #entries = new Map<number, Omit<CatalogEntry, 'oid'>>();

  /** How many types have been asked about, with those below them; it only grows. */
  get size(): number {
    return this.#entries.size;
  }

  /** True: the database has to be asked before it is known whether the type is an array or a domain. */
  needs(oid: number): boolean {
    return oid >= FIRST_GIVEN_OID && !this.#entries.has(oid);
  }

  /** Keeps the answer to {@link CATALOG_QUERY} about `wanted`. */
  add(wanted: Iterable<number>, entries: readonly CatalogEntry[]): void {
    for (const oid of wanted) this.#entries.set(oid, UNKNOWN);
    for (const entry of entries) this.#entries.set(entry.oid, entry);
  }

  baseOf(oid: number): number | undefined {
    return this.#entries.get(oid)?.baseOid ?? undefined;
  }

  elementOf(oid: number): number | undefined {
    return this.#entries.get(oid)?.elementOid ?? undefined;
  }

  parameterType(oid: number): ParameterType {
    const base = this.#withoutDomains(oid);
    const elementOid = ELEMENT_OIDS.get(base) ?? this.elementOf(base);
    const hasJsonElements = elementOid !== undefined && JSON_OIDS.has(this.#withoutDomains(elementOid));
    const isSingle = SINGLE_OIDS.has(base) || this.#entries.get(base)?.isWord === true;
    return { isJson: JSON_OIDS.has(base), elementOid, hasJsonElements, isSingle };
  }

  #withoutDomains(oid: number): number {
    const base = this.baseOf(oid);
    return base === undefined ? oid : this.#withoutDomains(base);
  }
}
