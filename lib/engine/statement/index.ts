export { CompiledCache } from './compiled-cache.js';
export {
  cachedSince,
  compileBatch,
  compileMany,
  compileStatement,
  isExecutable,
  type CompilableQuery,
  type CompiledQuery,
  type Executable,
  type QueryConfig,
  type ToSqlQuery,
} from './executable.js';
export { DriverBatch, isListOfSets } from './driver-batch.js';
export { quoteIdentifier } from './identifier.js';
export { InsertMany } from './insert-many.js';
export { isPlainRead } from './plain-read.js';
export type { CompiledStatement, Parameters, Row } from './row.js';
export { sql, type SqlTag } from './sql.js';
export { Sql, type SchemaTranslateMap } from './sql-fragment.js';
export { bindparam, BindParameter, text, TextClause, type BindParameterOptions } from './text.js';
