import ts from 'typescript';
import { placeOf, walk, type SourceFile } from './source-files.js';
import { codeLines } from './stairs.js';

const MAX_LINES = 300;
const MAX_FUNCTION_LINES = 40;
const MAX_WIDTH = 110;
const MAX_PARENTS = 1;
const SILENCERS = /@ts-(ignore|expect-error|nocheck)\b/;
const MUTABLE_COLLECTIONS = new Set(['Map', 'Set', 'WeakMap', 'WeakSet', 'Array']);

export function longFiles(files: readonly SourceFile[]): string[] {
  return files
    .map((file) => ({ path: file.path, lines: codeLines(file.text) }))
    .filter(({ lines }) => lines > MAX_LINES)
    .map(
      ({ path, lines }) =>
        `${path} has ${lines} lines of code, ${MAX_LINES} are allowed: give one of its nouns a file`,
    );
}

/** Functions that do more than one thing at once: over 40 lines from their first brace to their last. */
export function longFunctions(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const found: string[] = [];
    walk(file, (node) => {
      if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return;
      const lines = codeLines((node.body as ts.Node).getText());
      if (lines > MAX_FUNCTION_LINES) found.push(`${placeOf(file, node)} is a function of ${lines} lines`);
    });
    return found;
  });
}

/** Comments that are wider than the code beside them. */
export function wideComments(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) =>
    file.text
      .split('\n')
      .flatMap((line, index) =>
        /^\s*(\/\/|\/?\*)/.test(line) && line.length > MAX_WIDTH && !/https?:\/\/\S{60}/.test(line)
          ? [`${file.path}:${index + 1} has a comment ${line.length} wide, ${MAX_WIDTH} are allowed`]
          : [],
      ),
  );
}

/** Classes with a chain of our own classes above them: a part is held, not inherited. Errors and results may have two. */
export function deepClasses(files: readonly SourceFile[]): string[] {
  const parents = new Map<string, string>();
  const places = new Map<string, string>();
  for (const file of files) {
    walk(file, (node) => {
      if (!ts.isClassDeclaration(node) || node.name === undefined) return;
      places.set(node.name.text, placeOf(file, node));
      const parent = node.heritageClauses?.find(({ token }) => token === ts.SyntaxKind.ExtendsKeyword)
        ?.types[0];
      if (parent !== undefined) parents.set(node.name.text, parent.expression.getText());
    });
  }
  const above = (name: string): string[] => {
    const parent = parents.get(name);
    return parent === undefined || !places.has(parent) ? [] : [parent, ...above(parent)];
  };
  return [...places].flatMap(([name, place]) => {
    const chain = above(name);
    const allowed = /^lib\/engine\/(errors|result)\//.test(place) ? MAX_PARENTS + 1 : MAX_PARENTS;
    // What can go wrong is a tree, drawn at the top of its file.
    if (chain.at(-1) === 'EngineError' || chain.length <= allowed) return [];
    return [`${place} ${name} extends ${chain.join(' extends ')}: hold the part in a field`];
  });
}

/** A door is where a user of the package enters; inside, a file is imported by its own name. */
export function innerDoors(files: readonly SourceFile[], doors: readonly string[]): string[] {
  return files
    .filter(({ path }) => path.endsWith('/index.ts') && !doors.includes(path))
    .map(({ path }) => `${path} is a door inside the house: import the file that holds the name`);
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

/** `throw new Error(…)` and its relatives: what leaves the library is of the tree in lib/engine/errors. */
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
