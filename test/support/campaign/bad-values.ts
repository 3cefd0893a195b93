import type { Random } from '../random.js';

/** What a value that a door takes must be; everything else is wrong there. */
export type Kind =
  | 'flag'
  | 'time'
  | 'count'
  | 'limit'
  | 'rows'
  | 'text'
  | 'function'
  | 'synchronous'
  | 'signal'
  | 'settings'
  | 'level'
  | 'list'
  | 'object'
  | 'statement'
  | 'parameters'
  | 'row'
  | 'url'
  | 'cache'
  | 'column'
  | 'name'
  | 'engine'
  | 'never';

/** A value with a name that a report can show. */
export interface BadValue {
  readonly shown: string;
  make(): unknown;
}

class Instance {
  get timeout(): number {
    return 5;
  }
}

const MAKERS: Readonly<Record<string, () => unknown>> = {
  null: () => null,
  true: () => true,
  false: () => false,
  '0': () => 0,
  '1': () => 1,
  '-1': () => -1,
  '1.5': () => 1.5,
  '2 ** 40': () => 2 ** 40,
  NaN: () => Number.NaN,
  Infinity: () => Number.POSITIVE_INFINITY,
  '10n': () => 10n,
  "''": () => '',
  "'false'": () => 'false',
  "'5000'": () => '5000',
  'a URL': () => 'postgresql://app:4711471147@host/db',
  'a symbol': () => Symbol('of the user'),
  '[]': () => [],
  '[null]': () => [null],
  '{}': () => ({}),
  '{ a: 5 }': () => ({ a: 5 }),
  'no prototype': () => Object.create(null) as unknown,
  'a Map': () => new Map([['app.tenant', 'red']]),
  'a Set': () => new Set([1]),
  'a Date': () => new Date(0),
  'a RegExp': () => /x/,
  'an Error': () => new Error('of the user'),
  'a promise': () => Promise.resolve({ 'app.tenant': 'red' }),
  'a rejected promise': () => {
    const promise = Promise.reject(new Error('of the user'));
    // Its failure is the user's to handle; what is made of it is not.
    promise.catch(() => undefined);
    return promise;
  },
  'a function': () => () => undefined,
  'an async function': () => () => Promise.resolve(),
  'an instance': () => new Instance(),
  'an AbortController': () => new AbortController(),
  'a Buffer': () => Buffer.from('x'),
  '64 bytes': () => 'x'.repeat(64),
  NUL: () => 'a\0b',
};

const OBJECTS = ['{}', '{ a: 5 }', 'no prototype', 'an instance', 'an AbortController'];
const TEXTS = ["''", "'false'", "'5000'", 'a URL', '64 bytes', 'NUL'];
const FUNCTIONS = ['a function', 'an async function'];
const INSTANCES = ['a Date', 'a RegExp', 'an Error', 'a Map', 'a Set', 'a Buffer'];

/** What is right for a kind, or may be. */
const RIGHT: Readonly<Record<Kind, readonly string[]>> = {
  flag: ['true', 'false'],
  time: ['0', '1', '1.5'],
  count: ['0', '1', '2 ** 40'],
  limit: ['-1', '0', '1', '2 ** 40'],
  rows: ['1'],
  text: TEXTS,
  function: FUNCTIONS,
  synchronous: FUNCTIONS,
  signal: [],
  settings: ['{}', 'no prototype'],
  level: [],
  list: ['[]', '[null]'],
  object: [...OBJECTS, ...INSTANCES],
  statement: [],
  parameters: OBJECTS,
  row: [...OBJECTS, '[null]'],
  url: ['a URL'],
  cache: ['null'],
  column: ['0', '-1'],
  name: ["'false'", "'5000'", 'a URL'],
  engine: [],
  never: [],
};

/** One of the values that are wrong for `kind`. */
export function badValue(kind: Kind, random: Random): BadValue {
  const wrong = Object.keys(MAKERS).filter((name) => !RIGHT[kind].includes(name));
  const shown = wrong[random(wrong.length)] ?? 'null';
  const make = MAKERS[shown] ?? (() => null);
  return { shown, make };
}

/** A name that is nearly `name`: another spelling, a letter less or transposed, or more than half of it. */
export function nearName(name: string, random: Random): string {
  const at = 1 + random(name.length - 2);
  const spellings = [
    name.toUpperCase(),
    name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    name.slice(0, at) + name.slice(at + 1),
    `${name.slice(0, at)}${name[at + 1] ?? ''}${name[at] ?? ''}${name.slice(at + 2)}`,
    `${name}s`,
    name.slice(0, Math.max(4, Math.ceil(name.length * 0.6))),
  ];
  return spellings[random(spellings.length)] ?? name;
}
