import ts from 'typescript';
import { placeOf, walk, type SourceFile } from './source-files.js';

/**
 * Values that are exported and imported nowhere: `export` says that others use them. A type may be exported for what it
 * is part of, and what the doors export is for users.
 */
export function unusedExports(files: readonly SourceFile[], doors: readonly string[]): string[] {
  const used = new Set(files.flatMap(importedNames));
  return files
    .filter(({ path }) => !doors.includes(path))
    .flatMap((file) =>
      file.syntax.statements
        .filter(isExported)
        .flatMap(namesOf)
        .filter(({ text }) => !used.has(`${file.path}#${text}`) && !used.has(`${file.path}#*`))
        .map((name) => `${placeOf(file, name)} exports ${name.text}, which no other file imports`),
    );
}

/** `file#name`; the name is `*` where a whole module is taken. */
function importedNames(file: SourceFile): string[] {
  const names: string[] = [];
  const target = (specifier: ts.Node): string | undefined =>
    ts.isStringLiteral(specifier)
      ? file.imports.find((each) => each.specifier === specifier.text)?.target
      : undefined;
  walk(file, (node) => {
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      names.push(`${node.arguments[0] && target(node.arguments[0])}#*`);
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      names.push(`${target(node.argument.literal)}#${node.qualifier?.getText() ?? '*'}`);
    } else if (ts.isImportDeclaration(node)) {
      const bindings = node.importClause?.namedBindings;
      names.push(...listed(bindings).map((name) => `${target(node.moduleSpecifier)}#${name}`));
    } else if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined) {
      const from = target(node.moduleSpecifier);
      names.push(...listed(node.exportClause).map((name) => `${from}#${name}`));
    }
  });
  return names;
}

function listed(bindings: ts.NamedImportBindings | ts.NamedExportBindings | undefined): string[] {
  if (bindings === undefined || ts.isNamespaceImport(bindings) || ts.isNamespaceExport(bindings))
    return ['*'];
  return bindings.elements.map(({ name, propertyName }) => (propertyName ?? name).text);
}

function isExported(node: ts.Statement): boolean {
  const modifiers = ts.canHaveModifiers(node) ? ts.getModifiers(node) : undefined;
  return modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false;
}

function namesOf(node: ts.Statement): ts.Identifier[] {
  if (ts.isVariableStatement(node)) {
    return node.declarationList.declarations.flatMap(({ name }) => (ts.isIdentifier(name) ? [name] : []));
  }
  const isValue = ts.isFunctionDeclaration(node) || ts.isClassDeclaration(node);
  return isValue && node.name !== undefined ? [node.name] : [];
}
