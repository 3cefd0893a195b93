import ts from 'typescript';
import { placeOf, walk, type SourceFile } from './source-files.js';

const MAX_LINES = 300;
const SILENCERS = /@ts-(ignore|expect-error|nocheck)\b/;
const MUTABLE_COLLECTIONS = new Set(['Map', 'Set', 'WeakMap', 'WeakSet', 'Array']);

export function longFiles(files: readonly SourceFile[]): string[] {
  return files
    .map((file) => ({ path: file.path, lines: file.text.trimEnd().split('\n').length }))
    .filter(({ lines }) => lines > MAX_LINES)
    .map(
      ({ path, lines }) =>
        `${path} has ${lines} lines, ${MAX_LINES} are allowed: give one of its nouns a file`,
    );
}

/** `any` in every form, and the comments that silence the compiler. */
export function silencedTypes(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const found: string[] = [];
    walk(file, (node) => {
      if (node.kind === ts.SyntaxKind.AnyKeyword) found.push(`${placeOf(file, node)} says any`);
    });
    file.text.split('\n').forEach((line, index) => {
      const silencer = SILENCERS.exec(line);
      if (silencer !== null) found.push(`${file.path}:${index + 1} says ${silencer[0]}`);
    });
    return found;
  });
}

/** State that outlives every instance: a `let` of the module, a registry in a static or in a constant that starts empty. */
export function sharedState(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const found: string[] = [];
    for (const statement of file.syntax.statements) {
      if (ts.isVariableStatement(statement)) found.push(...moduleState(file, statement));
    }
    walk(file, (node) => {
      if (!ts.isPropertyDeclaration(node) || !isStatic(node)) return;
      if (startsCollection(node.initializer) || !isReadonly(node)) {
        found.push(`${placeOf(file, node)} keeps state in a static`);
      }
    });
    return found;
  });
}

function moduleState(file: SourceFile, statement: ts.VariableStatement): string[] {
  if ((statement.declarationList.flags & ts.NodeFlags.Const) === 0) {
    return [`${placeOf(file, statement)} keeps state in a variable of the module`];
  }
  return statement.declarationList.declarations
    .filter(({ initializer, type }) => startsEmpty(initializer) && !saysReadonly(type))
    .map((declaration) => `${placeOf(file, declaration)} keeps a registry in a constant of the module`);
}

/** A collection that starts empty is there to be filled; one that starts with its entries is a table. */
function startsEmpty(node: ts.Expression | undefined): boolean {
  return startsCollection(node) && ts.isNewExpression(node) && (node.arguments?.length ?? 0) === 0;
}

function saysReadonly(type: ts.TypeNode | undefined): boolean {
  return type !== undefined && /^(Readonly|readonly )/.test(type.getText());
}

function startsCollection(node: ts.Expression | undefined): node is ts.NewExpression {
  return (
    node !== undefined &&
    ts.isNewExpression(node) &&
    ts.isIdentifier(node.expression) &&
    MUTABLE_COLLECTIONS.has(node.expression.text)
  );
}

function isStatic(node: ts.PropertyDeclaration): boolean {
  return (ts.getCombinedModifierFlags(node) & ts.ModifierFlags.Static) !== 0;
}

function isReadonly(node: ts.PropertyDeclaration): boolean {
  return (ts.getCombinedModifierFlags(node) & ts.ModifierFlags.Readonly) !== 0;
}

/** `throw new Error(…)` and its relatives: what leaves the library is of the tree in errors.ts. */
export function bareErrors(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const found: string[] = [];
    walk(file, (node) => {
      if (!ts.isThrowStatement(node) || !ts.isNewExpression(node.expression)) return;
      const name = node.expression.expression.getText();
      if (/^(Error|TypeError|RangeError|AggregateError)$/.test(name)) {
        found.push(`${placeOf(file, node)} throws a bare ${name}`);
      }
    });
    return found;
  });
}
