import { describe, expect, it } from 'vitest';
import { isPlainRead } from '../../../lib/engine/statement/plain-read.js';

describe('isPlainRead', () => {
  it.each([
    'SELECT 1',
    '  select * from users where id = $1',
    'SELECT count(*), max(price), lower(name) FROM users WHERE id IN ($1, $2) GROUP BY 1',
    'SELECT u.id, (SELECT count (*) FROM orders o WHERE o.user_id = u.id) FROM users u',
    `SELECT 'INSERT INTO x; nextval(1) FOR UPDATE', "for update" FROM t -- pg_sleep(1);`,
    'SELECT $$ pg_sleep(1); $$ AS text FROM t /* INTO x; */',
    'SELECT id FROM t WHERE (a = 1 OR (b = 2)) AND NOT (c) ORDER BY (d)',
    'SELECT e::text, CAST(f AS int) FROM t WHERE g = ANY($1::int[])',
    'SELECT row_number() OVER (PARTITION BY a ORDER BY b) FROM t',
    'SELECT a - b, c / d, $1 FROM t',
  ])('is true for %s', (sql) => {
    expect(isPlainRead(sql)).toBe(true);
  });

  it.each([
    ['another command', 'UPDATE t SET a = 1'],
    ['a command behind WITH, which may write', 'WITH x AS (DELETE FROM t RETURNING 1) SELECT * FROM x'],
    ['a row lock', 'SELECT * FROM t WHERE id = 1 FOR UPDATE'],
    ['a shared row lock', 'SELECT * FROM t for   key share'],
    ['a lock that skips', 'SELECT * FROM jobs FOR NO KEY UPDATE SKIP LOCKED'],
    ['a new table', 'SELECT * INTO copy FROM t'],
    ['a second statement', 'SELECT 1; DELETE FROM t'],
    ['a function that waits', 'SELECT pg_sleep(1)'],
    ['a function that waits for others', 'SELECT pg_advisory_xact_lock(1)'],
    ['a function that writes', `SELECT nextval('s')`],
    ['a function of the user', 'SELECT place_order(1)'],
    ['a function of a schema', 'SELECT shop.count(1)'],
    ['a function with a quoted name', 'SELECT "count"(1)'],
    ['a function with a name that is no ASCII', 'SELECT zähle(1)'],
    ['a function far from its bracket', 'SELECT place_order /* here */ (1)'],
    ['a row lock behind a comment', 'SELECT 1 FROM t FOR /* x */ UPDATE'],
    ['a word that only begins like SELECT', 'SELECTED'],
    ['a comment in front', '/* x */ SELECT 1'],
    ['nothing', ''],
  ])('is false for %s', (_what, sql) => {
    expect(isPlainRead(sql)).toBe(false);
  });
});
