import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { parseSource, placeOf, ROOT, type SourceFile } from './source-files.js';

export interface Door {
  /** `.` or `./engine`, as a user of the package writes it. */
  readonly name: string;
  readonly file: SourceFile;
}

interface Target {
  readonly import?: { readonly types: string };
}

/** The entries of package.json "exports" whose source is there, with `dist/x.d.ts` read as `lib/x.ts`. */
export function readDoors(): Door[] {
  const text = readFileSync(path.join(ROOT, 'package.json'), 'utf8');
  const { exports } = JSON.parse(text) as { exports: Readonly<Record<string, Target | string>> };
  return Object.entries(exports).flatMap(([name, target]) => {
    if (typeof target === 'string' || target.import === undefined) return [];
    const file = target.import.types.replace(/^\.\/dist\//, 'lib/').replace(/\.d\.ts$/, '.ts');
    if (!existsSync(path.join(ROOT, file))) return [];
    return [{ name, file: parseSource(file, readFileSync(path.join(ROOT, file), 'utf8')) }];
  });
}

/** `index.txt`, `engine.txt`: where the committed list of a door lies. */
export function surfaceFileOf(door: Door): string {
  return `${door.name === '.' ? 'index' : door.name.slice(2).replaceAll('/', '-')}.txt`;
}

/** The lines of a door that hand on everything, and so make a name public that nobody wrote down. */
export function wildcardExports({ file }: Door): string[] {
  return file.syntax.statements
    .filter(ts.isExportDeclaration)
    .filter(({ exportClause }) => exportClause === undefined || ts.isNamespaceExport(exportClause))
    .map((statement) => `${placeOf(file, statement)} exports *: write the names out`);
}

/** What a door exports, sorted by name; `type` in front of what is gone at run time. */
export function exportedNames({ file }: Door): string[] {
  return file.syntax.statements
    .flatMap(namesOf)
    .sort((a, b) => compare(a.name, b.name))
    .map(render);
}

interface Name {
  readonly name: string;
  readonly isType: boolean;
}

const compare = (a: string, b: string): number => (a < b ? -1 : Number(a > b));
const render = ({ name, isType }: Name): string => (isType ? `type ${name}` : name);

function namesOf(statement: ts.Statement): Name[] {
  if (ts.isExportAssignment(statement)) return [{ name: 'default', isType: false }];
  if (ts.isExportDeclaration(statement)) {
    const { exportClause, isTypeOnly } = statement;
    if (exportClause === undefined || !ts.isNamedExports(exportClause)) return [];
    return exportClause.elements.map((element) => ({
      name: element.name.text,
      isType: isTypeOnly || element.isTypeOnly,
    }));
  }
  if (!ts.canHaveModifiers(statement)) return [];
  if (!ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) return [];
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map(({ name }) => ({
      name: name.getText(),
      isType: false,
    }));
  }
  const isType = ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement);
  const declared = statement as ts.Statement & { readonly name?: ts.Node };
  return [{ name: declared.name?.getText() ?? 'default', isType }];
}
