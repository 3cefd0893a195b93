import { correct, hasErrors, hasOperation, sendable } from './graphql-answer.js';
import type { GraphqlDocument, OperationResult } from './graphql-answer.js';
import type { GraphqlOperations } from './graphql-operations.js';

/** What Yoga executes. */
interface YogaExecution {
  readonly document: GraphqlDocument;
  readonly contextValue: object;
}

type YogaResult = OperationResult | AsyncIterable<OperationResult>;
type Execute = (execution: YogaExecution) => Promise<YogaResult> | YogaResult;

/** The hooks of GraphQL Yoga that are needed here; it calls them without their object. */
interface YogaPlugin {
  onRequestParse(request: { readonly serverContext: object }): {
    onRequestParseDone(parsed: { readonly requestParserResult: unknown }): void;
  };
  onExecute(execution: {
    readonly executeFn: Execute;
    readonly setExecuteFn: (execute: Execute) => void;
  }): void;
}

/** True: a GraphQL driver of Nest is Yoga's, or extends it. */
export function isYogaDriver(driver: unknown): boolean {
  if (typeof driver !== 'function') return false;
  return driver.name.includes('Yoga') || isYogaDriver(Object.getPrototypeOf(driver));
}

/** Makes what Yoga executes, over HTTP and over sockets, operations with an end. */
export function yogaPlugin(operations: readonly GraphqlOperations[]): YogaPlugin {
  const batches = new WeakSet<object>();
  return {
    onRequestParse: ({ serverContext }) => ({
      onRequestParseDone({ requestParserResult: parsed }) {
        if (Array.isArray(parsed) && parsed.length > 1) batches.add(serverContext);
      },
    }),
    // Around what other plugins have set: one that fails before has begun nothing.
    onExecute({ executeFn, setExecuteFn }) {
      setExecuteFn((execution) => {
        // Each of a batch has a context that extends the one of its request.
        const isBatched = batches.has(Object.getPrototypeOf(execution.contextValue) as object);
        return executeInUnits(operations, isBatched, execution, executeFn);
      });
    },
  };
}

async function executeInUnits(
  all: readonly GraphqlOperations[],
  isBatched: boolean,
  execution: YogaExecution,
  execute: Execute,
): Promise<YogaResult> {
  const isMutation = hasOperation(execution.document, 'mutation');
  const begun = all.map((operations) => operations.begin(execution.contextValue));
  let result: YogaResult;
  let first: OperationResult | undefined;
  try {
    result = await execute(execution);
    if (Symbol.asyncIterator in result) ({ first, result } = await readFirst(result));
    else first = result;
  } catch (error) {
    for (const operation of begun) await operation.end(true, isBatched);
    throw error;
  }
  for (const operation of begun) {
    const outcome = await operation.end(hasErrors(first), isBatched);
    correct(first, outcome, isMutation, sendable);
  }
  return result;
}

/** With `@defer` or `@stream`: the operation ends with its first part, and each later part is by itself. */
async function readFirst(
  parts: AsyncIterable<OperationResult>,
): Promise<{ first: OperationResult; result: AsyncIterable<OperationResult> }> {
  const iterator = parts[Symbol.asyncIterator]();
  const step = await iterator.next();
  let isRead = false;
  const result = {
    ...(iterator.return && { return: iterator.return.bind(iterator) }),
    next() {
      if (isRead) return iterator.next();
      isRead = true;
      return Promise.resolve(step);
    },
    [Symbol.asyncIterator]: () => result,
  };
  return { first: step.value as OperationResult, result };
}
