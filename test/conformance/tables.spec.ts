import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CASES, idOf } from './support/cases.js';

const PAGE = 'docs/conformance.md';
const STATES = ['passes', 'adapted', 'n/a'] as const;

interface Row {
  readonly id: string;
  readonly state: string;
  readonly how: string;
}

function specsBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.spec.ts'))
    .map((name) => join(folder, name));
}

const page = readFileSync(PAGE, 'utf8');
const rows: readonly Row[] = [...page.matchAll(/^\| ([A-Z]+-\d+) +\| (\S+) +\| *(.*?) *\|$/gm)].map(
  ([, id = '', state = '', how = '']) => ({ id, state, how }),
);
const specs = new Map(specsBelow('test').map((file) => [file, readFileSync(file, 'utf8')]));
const texts = [...specs.values()].join('\n');

function isTested(id: string): boolean {
  return new RegExp(String.raw`\b${id}(?!\d)`).test(texts);
}

describe.each(Object.entries(CASES))('the table %s of docs/conformance.md', (group, numbers) => {
  const own = rows.filter(({ id }) => id.startsWith(`${group}-`));

  it('has each case of the catalogue once, in its order, and no other', () => {
    expect(own.map(({ id }) => id)).toEqual(numbers.map((number) => idOf(group, number)));
  });

  it('gives every row a state, and says why where the state is another than passes', () => {
    const wrong = own.filter(
      ({ state, how }) =>
        !STATES.some((known) => known === state) || (state !== 'passes' && !/\p{L}/u.test(how)),
    );
    expect(wrong).toEqual([]);
  });

  it('has a test with the ID of each row that applies', () => {
    const claimed = own.filter(({ state }) => state !== 'n/a').map(({ id }) => id);
    expect(claimed.filter((id) => !isTested(id))).toEqual([]);
  });

  it('is summed up at the top', () => {
    const counts = STATES.map((state) => own.filter((row) => row.state === state).length);
    const line = [...page.matchAll(/^\| \[(\w+): [^|]*\|(.*)\|$/gm)].find(([, name]) => name === group);
    expect(line?.[2]?.split('|').map(Number)).toEqual([own.length, ...counts]);
  });
});

it('names only test files that are there', () => {
  const named = [...page.matchAll(/`((?:[\w-]+\/)*[\w-]+\.spec\.ts)`/g)].map(([, file = '']) => file);
  const missing = named.filter((file) => ![...specs.keys()].some((known) => known.endsWith(file)));
  expect(missing).toEqual([]);
});
