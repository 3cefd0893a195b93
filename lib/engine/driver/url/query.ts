import { ArgumentError } from '../../errors/errors.js';

/** The query of a URL: a name with one value, or with several. */
export type UrlQuery = Readonly<Record<string, string | readonly string[]>>;

/** Names in the query whose values are as secret as the password. */
const SECRET_NAMES: readonly string[] = ['password', 'sslpassword'];

/** Names whose loss would leave a connection less safe than its URL was meant to make it. */
const PROTECTING = /^(?:ssl|channel_binding$|require|gssencmode$)/i;

/**
 * Reads `key=value&key=value`; names without a value are dropped.
 *
 * @throws ArgumentError for a name that protects the connection and has no value, as the unset variable of a
 * template leaves it.
 */
export function parseQuery(text: string): UrlQuery {
  const pairs = [...new URLSearchParams(text)];
  const lost = pairs.find(([name, value]) => value === '' && PROTECTING.test(name));
  if (lost !== undefined) {
    throw new ArgumentError(`the URL's ${lost[0]} is empty. Give it a value or leave it out.`);
  }
  return queryOf(pairs.filter(([, value]) => value !== ''));
}

/** Collects pairs; a name that appears again gets several values. */
export function queryOf(pairs: Iterable<readonly [string, string]>): UrlQuery {
  const collected = new Map<string, string[]>();
  for (const pair of pairs) {
    const [name, value]: readonly unknown[] = Array.isArray(pair) ? pair : [];
    if (typeof name !== 'string' || typeof value !== 'string') {
      throw new ArgumentError(
        'the query of a URL must be names and values that are strings, or lists of strings.',
      );
    }
    const values = collected.get(name);
    if (values === undefined) collected.set(name, [value]);
    else values.push(value);
  }
  const entries = [...collected].map(([name, [first = '', ...rest]]) => {
    return [name, rest.length === 0 ? first : Object.freeze([first, ...rest])] as const;
  });
  // fromEntries defines properties: a name such as __proto__ is one of them.
  return Object.freeze(Object.fromEntries(entries));
}

export function queryPairs(query: UrlQuery): (readonly [string, string])[] {
  if (typeof query !== 'object' || query === null || Array.isArray(query)) {
    throw new ArgumentError('the query of a URL must be an object of names and values.');
  }
  return Object.entries(query).flatMap(([name, value]) =>
    [value].flat().map((each) => [name, each] as const),
  );
}

/**
 * `changes` on top of `query`, name by name: replaced, or with `append` added to the values that are there.
 */
export function mergeQuery(query: UrlQuery, changes: UrlQuery, append: boolean): UrlQuery {
  const kept = queryPairs(query).filter(([name]) => append || !Object.hasOwn(changes, name));
  return queryOf([...kept, ...queryPairs(changes)]);
}

/** Every name with the list of its values. */
export function normalizeQuery(query: UrlQuery): Readonly<Record<string, readonly string[]>> {
  const entries = Object.entries(query).map(
    ([name, value]) => [name, Object.freeze([value].flat())] as const,
  );
  return Object.freeze(Object.fromEntries(entries));
}

/** Writes a query with its names in order. */
export function renderQuery(query: UrlQuery, hidePassword: boolean): string {
  const names = Object.keys(query).toSorted();
  return names
    .flatMap((name) => {
      const isHidden = hidePassword && SECRET_NAMES.includes(name);
      return [query[name] ?? []]
        .flat()
        .map((value) => `${formEncode(name)}=${isHidden ? '***' : formEncode(value)}`);
    })
    .join('&');
}

function formEncode(text: string): string {
  return encodeURIComponent(text).replaceAll('%20', '+');
}
