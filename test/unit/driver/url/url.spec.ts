import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../../../../lib/engine/errors/errors.js';
import { DatabaseUrl, makeUrl, type UrlFields } from '../../../../lib/engine/driver/url/url.js';

function fieldsOf(url: DatabaseUrl): unknown[] {
  return [url.username, url.password, url.host, url.port, url.database, url.query];
}

function caught(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
}

const none = undefined;
type Expected = readonly [input: string, fields: readonly unknown[], plain?: string];

const PARSED: readonly Expected[] = [
  ['postgres://', [none, none, none, none, none, {}]],
  ['postgresql://', [none, none, none, none, none, {}]],
  ['postgresql://h1/', [none, none, 'h1', none, '', {}]],
  ['postgresql://h1/app', [none, none, 'h1', none, 'app', {}]],
  ['postgresql://h1:6543', [none, none, 'h1', 6543, none, {}]],
  ['postgresql://h1:6543?x=1', [none, none, 'h1', 6543, none, { x: '1' }]],
  ['postgresql+pg://ann:s3cret@h1:6543/app', ['ann', 's3cret', 'h1', 6543, 'app', {}]],
  ['postgresql://ann@h1', ['ann', none, 'h1', none, none, {}]],
  ['postgresql://ann:@h1', ['ann', '', 'h1', none, none, {}]],
  ['postgresql://:p@h1', ['', 'p', 'h1', none, none, {}]],
  [
    'postgresql:///c:/d/e.db?a=1&b=2&b=3',
    [none, none, none, none, 'c:/d/e.db', { a: '1', b: ['2', '3'] }],
    'postgresql:///c%3A/d/e.db?a=1&b=2&b=3',
  ],
  ['postgresql:///:memory:', [none, none, none, none, ':memory:', {}], 'postgresql:///%3Amemory%3A'],
  ['postgresql://an n+x:p w+z@h1/app', ['an n+x', 'p w+z', 'h1', none, 'app', {}]],
  ['postgresql://an%40n:p%2Fw%3A%25@h1/app', ['an@n', 'p/w:%', 'h1', none, 'app', {}]],
  ['postgresql://ann:p:w@h1/app', ['ann', 'p:w', 'h1', none, 'app', {}], 'postgresql://ann:p%3Aw@h1/app'],
  ['postgresql://ann:p/w@h1/app', ['ann', 'p/w', 'h1', none, 'app', {}], 'postgresql://ann:p%2Fw@h1/app'],
  [
    'postgresql://ann:p?w#@h1/app',
    ['ann', 'p?w#', 'h1', none, 'app', {}],
    'postgresql://ann:p%3Fw%23@h1/app',
  ],
  ['postgresql://ann:100%@h1/app', ['ann', '100%', 'h1', none, 'app', {}], 'postgresql://ann:100%25@h1/app'],
  ['postgresql://ann:pw@[fe80::1]/app', ['ann', 'pw', 'fe80::1', none, 'app', {}]],
  ['postgresql://ann:pw@[fe80::1]:6543/app?x=1', ['ann', 'pw', 'fe80::1', 6543, 'app', { x: '1' }]],
  ['postgresql://h1?mail=a@b', [none, none, 'h1', none, none, { mail: 'a@b' }], 'postgresql://h1?mail=a%40b'],
  ['postgresql://h1?y=2&x=1', [none, none, 'h1', none, none, { y: '2', x: '1' }], 'postgresql://h1?x=1&y=2'],
  ['postgresql://h1?x=1&y=2', [none, none, 'h1', none, none, { x: '1', y: '2' }]],
  [
    'postgresql://h1/app?x=a+b&y%3D=c%20d&z=&x=e',
    [none, none, 'h1', none, 'app', { x: ['a b', 'e'], 'y=': 'c d' }],
    'postgresql://h1/app?x=a+b&x=e&y%3D=c+d',
  ],
  [
    'postgresql://ü:é🐘@h1/app',
    ['ü', 'é🐘', 'h1', none, 'app', {}],
    'postgresql://%C3%BC:%C3%A9%F0%9F%90%98@h1/app',
  ],
  ['Postgresql://h1', [none, none, 'h1', none, none, {}]],
  ['postgresql://u:p@h1:5432,h2:5433/db', ['u', 'p', 'h1:5432,h2:5433', none, 'db', {}]],
  ['postgresql://%2Fvar%2Frun/db', [none, none, '/var/run', none, 'db', {}]],
  ['postgresql+pglite://', [none, none, none, none, none, {}]],
  ['postgresql+pglite:///data', [none, none, none, none, 'data', {}]],
  ['postgresql+pglite:////var/data', [none, none, none, none, '/var/data', {}]],
  [
    'postgresql://h1/d?mail=a@b',
    [none, none, 'h1', none, 'd', { mail: 'a@b' }],
    'postgresql://h1/d?mail=a%40b',
  ],
];

describe('makeUrl', () => {
  it.each(PARSED.map(([input, fields, plain = input]) => ({ input, fields, plain })))(
    'PU-03 PU-05 appendix A: reads $input and writes it so that it reads the same',
    ({ input, fields, plain }) => {
      const url = makeUrl(input);

      expect(fieldsOf(url)).toEqual(fields);
      expect(url.renderAsString({ hidePassword: false })).toBe(plain);
      expect(makeUrl(plain).equals(url)).toBe(true);
    },
  );

  it.each([
    'not a url',
    ' postgresql://h1',
    'post-gres://h1',
    'postgresql://ann:s3cret@h1:port/app',
    'postgresql://ann:s3cret@h1:/app',
    'postgresql://ann:s3cret@h1:65536/app',
    'postgresql://ann:s3@cret@h1/app',
    'postgresql://ann:x@s3cret:y@h1/app',
    'postgresql://ann:s3cret@h1:1,h2:s3cret/app',
    'postgresql://ann:s3cret@h1,,h2/app',
  ])('refuses %s without showing it', (input) => {
    const error = caught(() => makeUrl(input));

    expect(error).toBeInstanceOf(ArgumentError);
    expect(inspect(error)).not.toMatch(/s3|cret|not a url/);
  });

  it('says how to write an @ in a password', () => {
    expect(() => makeUrl('postgresql://ann:s3@cret@h1')).toThrow(/%40/);
  });

  it('gives a DatabaseUrl back as the same object', () => {
    const url = makeUrl('postgresql://h1');

    expect(makeUrl(url)).toBe(url);
  });

  it.each([[null], [undefined], [5], [{ host: 'h1' }]])('refuses %o, which is no URL', (value) => {
    expect(() => makeUrl(value as unknown as string)).toThrow(ArgumentError);
  });
});

describe('a password', () => {
  const url = makeUrl('postgresql://ann:s3cret@h1/app?sslpassword=s3cret2&password=s3cret3');

  it.each([
    ['toString()', String(url)],
    ['JSON', JSON.stringify({ url })],
    ['util.inspect', inspect({ url }, { showHidden: true, depth: 9, getters: true })],
    ['renderAsString()', url.renderAsString()],
    ['enumerable properties', JSON.stringify(Object.entries(url))],
  ])('is not shown by %s', (_, shown) => {
    expect(shown).not.toContain('s3cret');
  });

  it('PU-03 is masked when it is empty', () => {
    expect(String(makeUrl('postgresql://ann:@h1'))).toBe('postgresql://ann:***@h1');
  });

  it('PU-04 may be a function that is asked at each reading', () => {
    const passwords = ['first', 'second'];
    const asked = DatabaseUrl.create({
      drivername: 'postgresql',
      username: 'u',
      password: () => passwords.shift() ?? '',
    });

    expect([asked.password, asked.renderAsString({ hidePassword: false })]).toEqual([
      'first',
      'postgresql://u:second@',
    ]);
  });

  it('PU-04 is replaced and removed by set', () => {
    expect([url.set({ password: 'other' }).password, url.set({ password: null }).password]).toEqual([
      'other',
      undefined,
    ]);
  });

  it('counts for equality', () => {
    expect(makeUrl('postgresql://u:a@h').equals(makeUrl('postgresql://u:b@h'))).toBe(false);
  });
});

describe('DatabaseUrl', () => {
  const full: UrlFields = {
    drivername: 'postgresql+pg',
    username: 'u',
    password: 'p',
    host: 'h',
    port: 1,
    database: 'd',
    query: { k: 'v' },
  };

  it.each([
    [{ drivername: 'postgresql' }],
    [{ username: 'x' }],
    [{ password: 'x' }],
    [{ host: 'x' }],
    [{ port: 2 }],
    [{ database: 'x' }],
    [{ query: { k: 'x' } }],
  ] as const)('PU-07 differs after set(%o) and equals again when it is set back', (change) => {
    const url = DatabaseUrl.create(full);
    const [field] = Object.keys(change) as [keyof UrlFields];
    const changed = url.set(change);

    expect([changed.equals(url), changed.set({ [field]: full[field] }).equals(url)]).toEqual([false, true]);
  });

  it('writes raw fields encoded', () => {
    const url = DatabaseUrl.create({
      drivername: 'postgresql',
      username: 'a b',
      password: 'x/y',
      host: '::1',
      port: '1',
      database: 'd/e',
      query: { k: ['1', '2'] },
    });

    expect(url.renderAsString({ hidePassword: false })).toBe('postgresql://a b:x%2Fy@[::1]:1/d/e?k=1&k=2');
  });

  it('stores a password without a user and does not write it', () => {
    const url = DatabaseUrl.create({ drivername: 'postgresql', host: 'h', password: 'p' });

    expect([url.password, url.renderAsString({ hidePassword: false })]).toEqual(['p', 'postgresql://h']);
  });

  it('keeps what set does not name', () => {
    expect(DatabaseUrl.create(full).set({ port: '77' }).renderAsString({ hidePassword: false })).toBe(
      'postgresql+pg://u:p@h:77/d?k=v',
    );
  });

  it('removes the query with an empty one', () => {
    expect(String(makeUrl('postgresql://h/d?p=1').set({ query: {} }))).toBe('postgresql://h/d');
  });

  it('writes an empty host as none', () => {
    expect(String(makeUrl('postgresql://h/d').set({ host: '' }))).toBe('postgresql:///d');
  });

  it('PU-09 has a query that cannot be changed', () => {
    const { query } = makeUrl('postgresql://h?a=1&b=2&b=3');

    expect(() => Object.assign(query, { a: '9' })).toThrow(TypeError);
    expect(() => (query['b'] as string[]).push('9')).toThrow(TypeError);
  });

  it('has fields that cannot be changed', () => {
    expect(() => Object.assign(makeUrl('postgresql://h'), { host: 'other' })).toThrow(TypeError);
  });

  it('takes a name such as __proto__ in the query as a name', () => {
    const url = makeUrl('postgresql://h?__proto__=x');

    expect([Object.entries(url.query), String(url)]).toEqual([
      [['__proto__', 'x']],
      'postgresql://h?__proto__=x',
    ]);
  });

  it.each([
    ['drivername', null],
    ['drivername', 5],
    ['drivername', 'post gres'],
    ['username', 5],
    ['password', 5],
    ['host', 5],
    ['host', 'a/b'],
    ['database', 5],
    ['port', 'x'],
    ['port', 1.5],
    ['port', 65_536],
    ['query', 'a=1'],
    ['query', { a: 5 }],
    ['query', { a: ['x', 5] }],
  ])('PU-11 refuses the %s %o and names the field', (field, value) => {
    const fields = { ...full, [field]: value } as UrlFields;

    expect(() => DatabaseUrl.create(fields)).toThrow(
      expect.objectContaining({ message: expect.stringContaining(field) }),
    );
    expect(() => DatabaseUrl.create(fields)).toThrow(ArgumentError);
  });

  it('is unequal to its text', () => {
    expect(makeUrl('postgresql://h').equals('postgresql://h')).toBe(false);
  });

  it('is equal whatever the order of names in the query', () => {
    expect(makeUrl('postgresql://h?a=1&b=2').equals(makeUrl('postgresql://h?b=2&a=1'))).toBe(true);
  });
});

describe('a field that a URL does not have', () => {
  it.each<[string, () => unknown]>([
    ['set()', () => makeUrl('postgresql://h/d').set({ pasword: 'x' } as object)],
    ['create()', () => DatabaseUrl.create({ drivername: 'postgresql', user: 'x' } as object as UrlFields)],
  ])('is refused by %s, which names the fields it has', (_, work) => {
    expect(work).toThrow(/a URL has no field (pasword|user)\. It has drivername, username, password,/);
  });

  it.each<[string, () => unknown]>([
    ['set()', () => makeUrl('postgresql://h/d').set(null as never)],
    ['create()', () => DatabaseUrl.create('postgresql://h/d' as never)],
  ])('nor has what is not an object: %s', (_, work) => {
    expect(work).toThrow(ArgumentError);
  });
});
