import { describe, expect, it } from 'vitest';
import { summarize } from '../../../lib/opentelemetry/query-summary.js';
import { withComment } from '../../../lib/opentelemetry/sql-comment.js';

describe('the summary of a statement', () => {
  it.each([
    ['SELECT * FROM orders WHERE id = $1', 'SELECT orders'],
    [
      'select o.id from shop.orders o join "Customers" c on c.id = o.customer',
      'SELECT shop.orders "Customers"',
    ],
    ['INSERT INTO items (name) VALUES ($1) ON CONFLICT DO UPDATE SET name = $1', 'INSERT items'],
    ['INSERT INTO archive SELECT * FROM items', 'INSERT archive SELECT items'],
    ['UPDATE ONLY accounts SET balance = 1', 'UPDATE accounts'],
    ['DELETE FROM items', 'DELETE items'],
    ['SELECT id FROM jobs FOR UPDATE SKIP LOCKED', 'SELECT jobs'],
    ['/* route */ SELECT 1', 'SELECT'],
    ['COPY items (name) FROM STDIN (FORMAT csv)', 'COPY items'],
    ['COPY (SELECT name FROM items) TO STDOUT', 'COPY SELECT items'],
    ['BEGIN', 'BEGIN'],
    ['', ''],
  ])('of %j is %j', (sql, summary) => {
    expect(summarize(sql).summary).toBe(summary);
  });

  it.each([
    [
      `SELECT * FROM t WHERE a = 'it''s' AND b = 42.5 AND c = $1`,
      'SELECT * FROM t WHERE a = ? AND b = ? AND c = $1',
    ],
    [`SELECT E'a\\'b', $tag$ secret $tag$, t1.c2 FROM t1`, 'SELECT ?, ?, t1.c2 FROM t1'],
    ['SELECT $a1$ secret $a1$ FROM t', 'SELECT ? FROM t'],
    ["SELECT /* a /* b */ it's */ 'secret' FROM t", "SELECT /* a /* b */ it's */ ? FROM t"],
    ["SELECT -- it's\r'secret'", "SELECT -- it's\r?"],
  ])('has no values in the text of %j', (sql, text) => {
    expect(summarize(sql).text).toBe(text);
  });

  it.each([
    ["SELECT 'not closed $1 42", 'SELECT ?'],
    ["SELECT E'not \\' closed", 'SELECT ?'],
    ['SELECT $a$ not closed $b$ 42', 'SELECT ?'],
  ])('has nothing of a value that is not closed: %j', (sql, text) => {
    expect(summarize(sql).text).toBe(text);
  });

  // Work that grows with the square would take minutes.
  it.each(["'", '"', "E'", '/*', '$a$', '$b$"/*', "a$b$'/*", '$a', '--\n/*"', "''", '""', '\\', "E'\\"])(
    'takes time in proportion to the text: %j many times',
    (part) => {
      expect(summarize(`SELECT ${part.repeat(400_000 / part.length)}`).operation).toBe('SELECT');
    },
  );
});

describe('a comment for the server', () => {
  it('has its keys in order and its values encoded, and cannot end early', () => {
    expect(withComment('SELECT 1', { traceparent: '00-a-b-01', action: "it's */ DROP" })).toBe(
      "SELECT 1 /*action='it%27s%20%2A%2F%20DROP',traceparent='00-a-b-01'*/",
    );
  });

  it('leaves a statement alone that has one, or for which there is nothing to say', () => {
    expect(withComment('SELECT 1 /* a */', { action: 'x' })).toBe('SELECT 1 /* a */');
    expect(withComment('SELECT 1', { action: undefined })).toBe('SELECT 1');
  });
});
