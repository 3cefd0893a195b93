import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const STATUS = ['passes', 'adapted', 'n/a', 'events'];

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.spec.ts'))
    .map((name) => join(folder, name));
}

const titles = filesBelow('test')
  .map((file) => readFileSync(file, 'utf8'))
  .join('\n');

describe.each(['RS', 'PU', 'TT', 'PG', 'AP', 'PO', 'RC'])('docs/conformance/%s.md', (group) => {
  const rows = [
    ...readFileSync(`docs/conformance/${group}.md`, 'utf8').matchAll(/^\| (\w\w-\d\d) \| (\S+) +\|/gm),
  ];

  it('gives every row a status', () => {
    expect(rows.filter(([, , status = '']) => !STATUS.includes(status))).toEqual([]);
    expect(rows.length).toBeGreaterThan(0);
  });

  it('has a test with the ID of each row that applies', () => {
    const claimed = rows.filter(([, , status]) => status === 'passes' || status === 'adapted');
    const missing = claimed.map(([, id = '']) => id).filter((id) => !titles.includes(id));
    expect(missing).toEqual([]);
  });
});
