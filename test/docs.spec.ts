import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { compileFences } from './support/docs/compile.js';
import { fencesOf, type Fence } from './support/docs/fences.js';

const ROOT = fileURLToPath(new URL('../', import.meta.url));

function pages(): string[] {
  const guide = path.join(ROOT, 'docs/guide');
  const guides = existsSync(guide) ? readdirSync(guide).filter((name) => name.endsWith('.md')) : [];
  return ['README.md', 'docs/errors.md', ...guides.sort().map((name) => `docs/guide/${name}`)].filter(
    (page) => existsSync(path.join(ROOT, page)),
  );
}

function readFences(page: string): Fence[] {
  return fencesOf(page, readFileSync(path.join(ROOT, page), 'utf8'));
}

describe('the TypeScript examples of the README and the guides', () => {
  it('compile against the public doors', { timeout: 60_000 }, () => {
    expect(compileFences(ROOT, pages().flatMap(readFences))).toEqual([]);
  });

  it('are reported by page and line when they do not', { timeout: 60_000 }, () => {
    const fences = fencesOf(
      'page.md',
      ['# Title', '', '```ts', 'const a = 1;', 'const b: string = a;', '```'].join('\n'),
    );
    expect(compileFences(ROOT, fences)).toEqual([
      `page.md:5 Type 'number' is not assignable to type 'string'.`,
    ]);
  });
});

describe('fencesOf', () => {
  it('takes ts fences and leaves others alone', () => {
    const markdown = ['```sh', 'npm test', '```', '', '```ts', 'f();', '```', '```json', '{}', '```'].join(
      '\n',
    );
    expect(fencesOf('page.md', markdown)).toEqual([{ page: 'page.md', line: 5, code: 'f();', hidden: [] }]);
  });

  it('gives hidden declarations to the examples behind them', () => {
    const markdown = [
      '```ts',
      'a;',
      '```',
      '<!-- ts',
      'declare const b: 1;',
      '-->',
      '```ts',
      'b;',
      '```',
    ].join('\n');
    expect(fencesOf('page.md', markdown).map(({ hidden }) => hidden)).toEqual([[], ['declare const b: 1;']]);
  });
});

describe('a hidden declaration', () => {
  it('gives way to one of the example itself', { timeout: 60_000 }, () => {
    const markdown = [
      '<!-- ts',
      'declare const a: string;',
      '-->',
      '```ts',
      'const a: number = 1;',
      '```',
    ].join('\n');
    expect(compileFences(ROOT, fencesOf('page.md', markdown))).toEqual([]);
  });
});
