import { EngineError } from '../../engine/index.js';
import { errorAnswerOf, UNKNOWN } from '../shared/error-answer.js';
import type { OperationOutcome, ToldOutcome } from './graphql-operations.js';
import { reasonOf } from '../../engine/errors/thrown.js';

/** What a driver answers an operation with. */
export interface OperationResult {
  data?: unknown;
  errors?: unknown;
}

/** A parsed request. */
export interface GraphqlDocument {
  readonly definitions: readonly { readonly operation?: string }[];
}

/** An error of GraphQL, which says what the one that a resolver threw says. */
interface FieldError {
  message: string;
  readonly originalError?: unknown;
  readonly extensions?: Record<string, unknown>;
}

/**
 * Lets errors of the engine say what `DatabaseExceptionFilter` would: nothing of a statement. Nest has logged
 * them, and the application's `formatError` finds them in `originalError`.
 */
export function hideStatements(errors: unknown): void {
  if (!Array.isArray(errors)) return;
  for (const error of errors as FieldError[]) {
    const { originalError } = error;
    if (!(originalError instanceof EngineError)) continue;
    error.message = messageOf(originalError);
    if (error.extensions !== undefined) error.extensions['code'] = originalError.code;
  }
}

/** Takes back what an answer claims of an operation that is undone. */
export function correct(
  result: OperationResult,
  outcome: OperationOutcome,
  isMutation: boolean,
  format: (formatted: object, error: unknown) => unknown,
): void {
  // A query reads; what it has read stays true.
  if (outcome.end === 'kept' || (!isMutation && outcome.end !== 'commit failed')) return;
  result.data = null;
  if (outcome.end !== 'undone') result.errors = [format(asGraphqlError(outcome), outcome.error)];
}

/** An error in the shape of GraphQL, for an answer in which no field has failed. */
function asGraphqlError({ end, error }: ToldOutcome): object {
  const code = error instanceof EngineError ? error.code : 'INTERNAL_SERVER_ERROR';
  return { message: end === 'undone by another' ? error.message : messageOf(error), extensions: { code } };
}

/** Of an error of the database, as `DatabaseExceptionFilter` says it: nothing of a statement. */
function messageOf(error: unknown): string {
  if (error instanceof EngineError) return (errorAnswerOf(error) ?? UNKNOWN).message;
  return reasonOf(error);
}

/** The same for drivers that send what `toJSON()` gives. */
export function sendable(formatted: object): object {
  return { ...formatted, toJSON: () => formatted };
}

export function hasOperation({ definitions }: GraphqlDocument, kind: 'mutation' | 'subscription'): boolean {
  return definitions.some(({ operation }) => operation === kind);
}

export function hasErrors({ errors }: OperationResult): boolean {
  return Array.isArray(errors) && errors.length > 0;
}
