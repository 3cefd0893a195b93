import { ArgumentError } from '../errors/errors.js';
import type { SchemaTranslateMap } from './sql-fragment.js';

/** A part of the tree that a Kysely query is compiled from. */
type Node = Readonly<Record<string, unknown>> & { readonly kind: string };

/** What Kysely asks of a plugin. */
interface TreePlugin {
  transformQuery(query: { readonly node: unknown }): unknown;
  transformResult(answer: { readonly result: unknown }): Promise<unknown>;
}

interface Compilable {
  compile(): unknown;
  withPlugin?(plugin: TreePlugin): Compilable;
}

/** Nodes that hold values as the user gave them, which are never looked into. */
const OPAQUE = ['ValueNode', 'PrimitiveValueListNode'];

/**
 * Compiles a query builder with the schemas of its tables replaced. Throws {@link ArgumentError} where its
 * tables name a schema that is mapped and it has no way to replace it.
 */
export function compileTranslated(builder: Compilable, schemas: SchemaTranslateMap | undefined): unknown {
  if (schemas === undefined) return builder.compile();
  if (typeof builder.withPlugin === 'function') return builder.withPlugin(pluginFor(schemas)).compile();
  const compiled = builder.compile();
  expectUnmapped(compiled, schemas);
  return compiled;
}

/** Refuses what names a mapped schema and can't be compiled anew. */
export function expectUnmapped(tree: unknown, schemas: SchemaTranslateMap | undefined): void {
  if (schemas === undefined) return;
  const named = mappedSchemaIn(tree, schemas);
  if (named === undefined) return;
  throw new ArgumentError(
    `schemaTranslateMap maps the schema '${named}', and the query that names it is compiled already, or of a kind that ` +
      'takes no plugin. Execute the SELECT, INSERT, UPDATE or DELETE builder itself, or write the schema that is meant.',
  );
}

function pluginFor(schemas: SchemaTranslateMap): TreePlugin {
  return {
    transformQuery: ({ node }) => translated(node, schemas),
    transformResult: ({ result }) => Promise.resolve(result),
  };
}

/** A copy of the tree in which tables, and columns of tables, are in other schemas. */
function translated(part: unknown, schemas: SchemaTranslateMap): unknown {
  if (Array.isArray(part)) return part.map((element) => translated(element, schemas));
  if (!isNode(part) || OPAQUE.includes(part.kind)) return part;
  const copy = Object.fromEntries(
    Object.entries(part).map(([name, value]) => [name, translated(value, schemas)]),
  );
  const schema = schemaNameOf(part);
  if (schema === undefined || !Object.hasOwn(schemas, schema)) return copy;
  return { ...copy, schema: { kind: 'IdentifierNode', name: schemas[schema] } };
}

/** Without recursion, and each part once: a compiled query of any depth and shape may be given. */
function mappedSchemaIn(tree: unknown, schemas: SchemaTranslateMap): string | undefined {
  const parts = new Set([tree]);
  for (const part of parts) {
    if (isNode(part)) {
      if (OPAQUE.includes(part.kind)) continue;
      const schema = schemaNameOf(part);
      if (schema !== undefined && Object.hasOwn(schemas, schema)) return schema;
    }
    for (const inner of partsOf(part)) parts.add(inner);
  }
  return undefined;
}

function partsOf(part: unknown): readonly unknown[] {
  if (Array.isArray(part)) return part;
  if (isNode(part)) return Object.values(part);
  return isRecord(part) ? [part['query']] : [];
}

function schemaNameOf(node: Node): string | undefined {
  const { kind, schema } = node;
  if (kind !== 'SchemableIdentifierNode' || !isNode(schema)) return undefined;
  const name: unknown = schema['name'];
  return typeof name === 'string' ? name : undefined;
}

function isNode(value: unknown): value is Node {
  return isRecord(value) && typeof value['kind'] === 'string';
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
