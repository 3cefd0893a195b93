import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** The root of the checkout. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

export interface Import {
  /** As written: `./errors.js`, `pg`, `node:net`. */
  readonly specifier: string;
  /** The file of ours that it means, relative to the root; undefined for a package. */
  readonly target: string | undefined;
}

export interface SourceFile {
  /** Relative to the root, with forward slashes: `lib/engine/errors.ts`. */
  readonly path: string;
  readonly text: string;
  readonly syntax: ts.SourceFile;
  readonly imports: readonly Import[];
}

/** Every TypeScript file below `folder`, in order of path. A folder that does not exist has none. */
export function readSources(folder: string): SourceFile[] {
  const absolute = path.join(ROOT, folder);
  if (!existsSync(absolute)) return [];
  return readdirSync(absolute, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => path.posix.join(folder, name.replaceAll(path.sep, '/')))
    .sort()
    .map((name) => parseSource(name, readFileSync(path.join(ROOT, name), 'utf8')));
}

/** What the rules need to know of one file; the tests of the rules give them a text that exists nowhere. */
export function parseSource(name: string, text: string): SourceFile {
  const syntax = ts.createSourceFile(name, text, ts.ScriptTarget.ES2023, true);
  // preProcessFile lists type-only imports, re-exports, `import()` and `import('…')` types alike.
  const specifiers = ts.preProcessFile(text, true, true).importedFiles.map((file) => file.fileName);
  const imports = [...new Set(specifiers)].map((specifier) => ({
    specifier,
    target: resolve(name, specifier),
  }));
  return { path: name, text, syntax, imports };
}

function resolve(from: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  return path.posix.join(path.posix.dirname(from), specifier).replace(/\.js$/, '.ts');
}

/** `lib/engine/errors.ts:12`, which editors and terminals turn into a link. */
export function placeOf(file: SourceFile, node: ts.Node): string {
  return `${file.path}:${file.syntax.getLineAndCharacterOfPosition(node.getStart()).line + 1}`;
}

/** Calls `visit` with every node of the file. */
export function walk(file: SourceFile, visit: (node: ts.Node) => void): void {
  const step = (node: ts.Node): void => {
    visit(node);
    ts.forEachChild(node, step);
  };
  step(file.syntax);
}
