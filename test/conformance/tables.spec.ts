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

const isNamedIn = (text: string, id: string): boolean => new RegExp(String.raw`\b${id}(?!\d)`).test(text);

/** A row that names no file says `as AE-30`: the files of that row. */
function filesOf({ how }: Row): string[] {
  const named = [...how.matchAll(/`((?:[\w-]+\/)*[\w-]+\.spec\.ts)`/g)].map(([, file = '']) => file);
  const other = rows.find(({ id }) => id === /\bas ([A-Z]+-\d+)/.exec(how)?.[1]);
  return named.length === 0 && other !== undefined ? filesOf(other) : named;
}

/** The text of the file that a row means: one without a folder is in `test/conformance`. */
function textOf(file: string): string {
  const path = file.includes('/') ? file : `test/conformance/${file}`;
  return specs.get(path) ?? '';
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

  it('has a test with the ID of each row that applies, in each file that the row names', () => {
    const claims = own.filter(({ state }) => state !== 'n/a').map((row) => ({ ...row, files: filesOf(row) }));
    const missing = claims.flatMap(({ id, files }) =>
      (files.length === 0 ? ['no file'] : files)
        .filter((file) => !isNamedIn(textOf(file), id))
        .map((file) => `${id}: ${file}`),
    );
    expect(missing).toEqual([]);
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
