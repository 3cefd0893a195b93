import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { compileFences } from './support/docs/compile.js';
import { docExamplesOf } from './support/docs/doc-examples.js';
import { EXAMPLE_NAMES } from './support/docs/example-names.js';
import { fencesOf, type Fence } from './support/docs/fences.js';

const ROOT = fileURLToPath(new URL('../', import.meta.url));

function pages(): string[] {
  const guide = path.join(ROOT, 'docs/guide');
  const guides = existsSync(guide) ? readdirSync(guide).filter((name) => name.endsWith('.md')) : [];
  return ['README.md', 'docs/errors.md', ...guides.sort().map((name) => `docs/guide/${name}`)].filter(
    (page) => existsSync(path.join(ROOT, page)),
  );
}

function sources(): string[] {
  return readdirSync(path.join(ROOT, 'lib'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .sort()
    .map((name) => path.posix.join('lib', name));
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

describe('the guides whose code needs packages that are not installed here', () => {
  it.each([
    ['from-typeorm', 'typeorm'],
    ['queues', 'queue'],
    ['commonjs', 'stock'],
  ])('show the code of the application that is tested (%s)', (page, consumer) => {
    const spaces = (text: string): string => text.replaceAll(/\s+/g, ' ').trim();
    const folder = path.join(ROOT, 'test/consumers', consumer, 'src');
    const code = readdirSync(folder).map((file) => spaces(readFileSync(path.join(folder, file), 'utf8')));
    const text = readFileSync(path.join(ROOT, `docs/guide/${page}.md`), 'utf8');
    const shown = [...text.matchAll(/^```cts\n([^]*?)^```/gm)].map(([, fence]) => spaces(fence ?? ''));
    expect(shown.length).toBeGreaterThan(1);
    expect(shown.filter((fence) => !code.some((file) => file.includes(fence)))).toEqual([]);
  });
});

describe('the table of the tools that take a pool', () => {
  it('names for each tool a test that runs it', () => {
    const page = readFileSync(path.join(ROOT, 'docs/guide/aspool.md'), 'utf8');
    const rows = page.split('\n').filter((line) => line.startsWith('| ') && line.includes('.test.ts`'));
    const untested = rows.filter((row) => {
      const [, tools = '', , tests = ''] = row.split('|');
      const code = [...tests.matchAll(/`(?:orms\/…\/)?([\w-]+\.test\.ts)`/g)].map(([whole, file = '']) => {
        const consumer = whole.startsWith('`orms/') ? 'orms' : 'tools';
        return readFileSync(path.join(ROOT, 'test/consumers', consumer, 'test', file), 'utf8').toLowerCase();
      });
      const names = tools.split(',').map((tool) =>
        tool
          .replaceAll(/`| \d+ *$/g, '')
          .trim()
          .toLowerCase(),
      );
      return code.length === 0 || !code.every((text) => names.every((name) => text.includes(name)));
    });
    expect(rows.length).toBeGreaterThan(17);
    expect(untested).toEqual([]);
  });
});

describe('the table of runtimes, test runners and bundlers', () => {
  it('names for each of them the project that runs it', () => {
    const consumers = path.join(ROOT, 'test/consumers');
    const read = (file: string): string => {
      const place = path.join(consumers, file);
      return existsSync(place) ? readFileSync(place, 'utf8') : '';
    };
    const page = readFileSync(path.join(ROOT, 'docs/guide/commonjs.md'), 'utf8');
    const rows = [...page.matchAll(/^\| (.*?) +\| `([\w-]+)` +\|$/gm)];
    const untested = rows.filter(([, tools = '', name = '']) => {
      const kind = name.startsWith('nest-') ? 'stock-project' : name;
      const code = ['run.mjs', `${kind}.mjs`, `${name}/package.json`].map(read).join('');
      const isRun = new RegExp(`^ {2}'?${name}'?[:,]`, 'm').test(read('run.mjs'));
      return !isRun || ![...tools.matchAll(/`([^`]+)`/g)].every(([, tool = '']) => code.includes(tool));
    });
    expect(rows.length).toBeGreaterThan(11);
    expect(untested.map(([row]) => row)).toEqual([]);
  });
});

describe('the examples in the doc comments', () => {
  it('compile against the public doors', { timeout: 60_000 }, () => {
    const examples = sources().flatMap((page) =>
      docExamplesOf(page, readFileSync(path.join(ROOT, page), 'utf8'), EXAMPLE_NAMES),
    );
    expect(examples.length).toBeGreaterThanOrEqual(45);
    expect(compileFences(ROOT, examples)).toEqual([]);
  });

  it('are found by the line of their file, as members of a class where they are decorated', () => {
    const source = [
      '/**',
      ' * What it does.',
      ' *',
      ' * @example',
      ' * ```ts',
      ' * @Get()',
      ' * all(): void {}',
      ' * ```',
      ' */',
    ];
    expect(
      docExamplesOf('a.ts', source.join('\n'), ["import { Get } from 'x';", 'declare const all: 1;']),
    ).toEqual([
      {
        page: 'a.ts',
        line: 5,
        code: "class Example { readonly engine!: import('nest-async-engine').AsyncEngine; @Get()\nall(): void {}\n}",
        hidden: ["import { Get } from 'x';", 'declare const all: 1;'],
      },
    ]);
  });

  it('must stand in a fence', () => {
    expect(() => docExamplesOf('a.ts', '/**\n * @example\n * f();\n */', [])).toThrow(
      'a.ts:2 an @example must be followed by a ts fence',
    );
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
