import type { Fence } from './fences.js';

const COMMENT = /\/\*\*[\s\S]*?\*\//g;
const OPEN = /^\s*```ts\s*$/;
const MEMBERS = `class Example { readonly engine!: import('nest-async-engine').AsyncEngine;`;
const CLOSE = /^\s*```\s*$/;

/**
 * The `@example` fences in the doc comments of a source file. `hidden` are declarations, one a line, of which an
 * example gets those whose name it writes. An example of a decorated method is compiled as a member of a class.
 *
 * @throws an Error for an `@example` without a `ts` fence: no check would ever see it.
 */
export function docExamplesOf(page: string, source: string, hidden: readonly string[]): Fence[] {
  return [...source.matchAll(COMMENT)].flatMap((comment) => {
    const firstLine = source.slice(0, comment.index).split('\n').length;
    const lines = comment[0].split('\n').map((line) => line.replace(/^\s*\* ?/, ''));
    const starts = lines.flatMap((line, index) => (line.startsWith('@example') ? [index] : []));
    return starts.map((start) => exampleAt(page, lines, start, firstLine, hidden));
  });
}

function exampleAt(
  page: string,
  lines: readonly string[],
  start: number,
  firstLine: number,
  hidden: readonly string[],
): Fence {
  const open = start + 1;
  const length = lines.slice(open + 1).findIndex((line) => CLOSE.test(line));
  if (!OPEN.test(lines[open] ?? '') || length < 0) {
    throw new Error(`${page}:${firstLine + start} an @example must be followed by a ts fence`);
  }
  const code = lines.slice(open + 1, open + 1 + length).join('\n');
  return {
    page,
    line: firstLine + open,
    code: isMember(code) ? `${MEMBERS} ${code}\n}` : code,
    hidden: hidden.filter((declaration) => writes(code, nameOf(declaration))),
  };
}

const isMember = (code: string): boolean => code.startsWith('@') && !/\bclass\b/.test(code);

const writes = (code: string, name: string): boolean => new RegExp(`(?<![\\w.])${name}\\b`).test(code);

/** `import { sql } from 'x';`, `declare const sql: Sql;`, `declare class Order {}`: the name that it declares. */
function nameOf(declaration: string): string {
  const name =
    /^import (?:type )?\{ (\w+) \}|^(?:declare )?(?:const|class|function|interface|type) (\w+)/.exec(
      declaration,
    );
  if (name === null) throw new Error(`not a declaration of one name: ${declaration}`);
  return name[1] ?? name[2] ?? '';
}
