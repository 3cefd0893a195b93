import { describe, expect, it } from 'vitest';
import { withoutTrailingComment } from '../../../lib/engine/statement/trailing-comment.js';

describe('the text without its trailing comment', () => {
  it.each([
    ['SELECT 1 /* a */', 'SELECT 1'],
    ["SELECT 1 /*traceparent='00-ab-01',action='it%27s'*/", 'SELECT 1'],
    ['SELECT 1 /* a *//* b */', 'SELECT 1'],
    ['SELECT 1 /* a /* nested */ */', 'SELECT 1'],
    ['SELECT /* within */ 1 /* behind */', 'SELECT /* within */ 1'],
    ["SELECT '/* data */' /* a */", "SELECT '/* data */'"],
    ['SELECT $a$ /* $a$ /* a */', 'SELECT $a$ /* $a$'],
    ['/* nothing else */', ''],
  ])('of %j is %j', (sql, text) => {
    expect(withoutTrailingComment(sql)).toBe(text);
  });

  it.each([
    'SELECT 1',
    "SELECT '/* data */'",
    "SELECT '/* a' -- b */",
    "SELECT '/* c' -- b */",
    'SELECT 1 -- /* line */',
    'SELECT 1 /* not /* closed */',
    'SELECT 1 */',
    'SELECT "/*" AS "*/',
  ])('of %j is all of it: nothing behind it is a comment', (sql) => {
    expect(withoutTrailingComment(sql)).toBe(sql);
  });
});
