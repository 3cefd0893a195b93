import { describe, expect, it } from 'vitest';
import { InsertMany } from '../../../lib/engine/statement/insert-many.js';

const joined = (sql: string) => InsertMany.of(sql)?.sqlFor([23, 25]);

describe('a single-row INSERT of plain binds', () => {
  it('becomes one of arrays', () => {
    expect(joined('INSERT INTO a.b ("x y", c) VALUES ($2, $1)')).toBe(
      'INSERT INTO a.b ("x y", c) SELECT r.b2, r.b1 FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.int4[]), ' +
        'pg_catalog.unnest($2::pg_catalog.text[])) WITH ORDINALITY AS r(b1, b2, place) ORDER BY r.place',
    );
  });

  it.each(['Größe', 'данные', 'a\u00A0b', '😀', 'ſ$1'])(
    'into %s, which PostgreSQL takes for a name',
    (name) => {
      expect(joined(`INSERT INTO ${name} (${name}) VALUES ($1, $2)`)).toContain(
        `INSERT INTO ${name} (${name}) SELECT`,
      );
    },
  );

  it.each(['RETURNING id', 'ON CONFLICT DO NOTHING', 'ON CONFLICT (a) DO NOTHING RETURNING *'])(
    'keeps %s at its end',
    (tail) => {
      expect(joined(`insert into b values ($1, $2) ${tail}`)?.endsWith(`ORDER BY r.place ${tail}`)).toBe(
        true,
      );
    },
  );
});

describe('row by row stays', () => {
  it.each([
    'INSERT INTO b VALUES ($1, $2) ON CONFLICT (a) DO UPDATE SET c = 1',
    'INSERT INTO b VALUES ($1, $2) ON CONFLICT (a) DO /* */ UPDATE SET c = 1',
    'INSERT INTO b VALUES ($1, $2) RETURNING $1',
    'INSERT INTO b VALUES ($1, DEFAULT)',
    'INSERT INTO b VALUES ($1, now())',
    'INSERT INTO b VALUES ($1::int, $2)',
    'INSERT INTO b VALUES ($1, $2), ($1, $2)',
    'INSERT INTO b AS x VALUES ($1, $2)',
    'INSERT INTO b (a, c) OVERRIDING SYSTEM VALUE VALUES ($1, $2)',
    'INSERT INTO b VALUES ($1, $2);',
    'INSERT INTO b (a, c) SELECT $1, $2',
    'WITH x AS (SELECT 1) INSERT INTO b VALUES ($1, $2)',
    'UPDATE b SET a = $1 WHERE c = $2',
  ])('%s', (sql) => {
    expect(InsertMany.of(sql)).toBeUndefined();
  });

  it('for a type that arrays cannot carry', () => {
    expect(InsertMany.of('INSERT INTO b VALUES ($1, $2)')?.sqlFor([23, 1007])).toBeUndefined();
  });
});
