import ts from 'typescript';

export interface Fence {
  /** The Markdown file, relative to the root. */
  readonly page: string;
  /** The line of the opening fence, from 1. */
  readonly line: number;
  readonly code: string;
  /** Declarations that the reader does not see: the lines of `<!-- ts … -->` comments in front of the fence. */
  readonly hidden: readonly string[];
}

const OPEN = /^( *)```(ts|typescript)\s*$/;

/** The TypeScript examples of a page. `<!-- ts` opens a comment whose lines belong to every later example of the page. */
export function fencesOf(page: string, markdown: string): Fence[] {
  const fences: Fence[] = [];
  const hidden: string[] = [];
  const lines = markdown.split('\n');
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index] ?? '';
    if (line.trim() === '<!-- ts') {
      const end = endOf(lines, index, (text) => text.trim() === '-->');
      hidden.push(...lines.slice(index + 1, end));
      index = end;
    } else if (OPEN.test(line)) {
      const end = endOf(lines, index, (text) => text.trim() === '```');
      fences.push({
        page,
        line: index + 1,
        code: lines.slice(index + 1, end).join('\n'),
        hidden: [...hidden],
      });
      index = end;
    }
  }
  return fences;
}

function endOf(lines: readonly string[], start: number, closes: (line: string) => boolean): number {
  const offset = lines.slice(start + 1).findIndex(closes);
  return offset < 0 ? lines.length : start + 1 + offset;
}

/** A module of its own whose line numbers are those of the page. Hidden names that the example declares are left out. */
export function moduleOf({ line, code, hidden }: Fence): string {
  const own = declaredNames(code);
  const needed = hidden.filter((text) => [...declaredNames(text)].every((name) => !own.has(name)));
  return `${'\n'.repeat(line)}${code}\n${needed.join('\n')}\nexport {};\n`;
}

function declaredNames(code: string): Set<string> {
  const names = new Set<string>();
  for (const statement of ts.createSourceFile('names.ts', code, ts.ScriptTarget.ES2023).statements) {
    if (ts.isVariableStatement(statement)) {
      for (const { name } of statement.declarationList.declarations) collectNames(name, names);
    } else if (ts.isImportDeclaration(statement)) {
      const bindings = statement.importClause?.namedBindings;
      if (bindings !== undefined && ts.isNamedImports(bindings)) {
        for (const { name } of bindings.elements) names.add(name.text);
      }
    } else {
      const { name } = statement as ts.Statement & { readonly name?: ts.Node };
      if (name !== undefined && ts.isIdentifier(name)) names.add(name.text);
    }
  }
  return names;
}

function collectNames(name: ts.BindingName, names: Set<string>): void {
  if (ts.isIdentifier(name)) {
    names.add(name.text);
    return;
  }
  for (const element of name.elements) {
    if (ts.isBindingElement(element)) collectNames(element.name, names);
  }
}
