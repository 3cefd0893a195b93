import 'reflect-metadata';
import { EngineError } from '../../engine/index.js';
import type { AsyncEngine, Scope } from '../../engine/index.js';
import { NEST_METADATA } from '../shared/nest-metadata.js';

/** What Apollo tells about an operation at its end; the little of it that is needed here. */
export interface OperationEnd {
  readonly errors?: readonly unknown[] | undefined;
  readonly operation?: { readonly operation: string } | undefined;
  readonly response: { readonly body: { readonly kind: string; readonly singleResult?: SingleResult } };
}

interface SingleResult {
  data?: unknown;
  errors?: unknown;
}

interface OperationListener {
  willSendResponse(end: OperationEnd): Promise<void>;
}

/** What is open of one request: Apollo takes several operations in one, too. */
interface Operations {
  open: number;
  failed: number;
}

/**
 * Ends the unit of work of a GraphQL operation when all its fields are resolved and before the response is
 * written. Apollo finds it by its metadata; without Apollo each field ends the unit as a handler does.
 */
export class GraphqlOperationPlugin {
  readonly #engine: AsyncEngine;
  readonly #operations = new WeakMap<Scope, Operations>();

  constructor(engine: AsyncEngine) {
    this.#engine = engine;
  }

  /** True: the unit of this scope ends here and not with a handler. */
  covers(scope: Scope): boolean {
    return this.#operations.has(scope);
  }

  async requestDidStart(): Promise<OperationListener | undefined> {
    const scope = this.#engine.currentScope();
    if (scope === undefined) return undefined;
    const operations = this.#operations.get(scope) ?? { open: 0, failed: 0 };
    this.#operations.set(scope, operations);
    operations.open += 1;
    return { willSendResponse: (end) => this.#end(scope, operations, end) };
  }

  async #end(scope: Scope, operations: Operations, end: OperationEnd): Promise<void> {
    const { singleResult } = end.response.body;
    operations.open -= 1;
    if ((end.errors ?? []).length > 0) operations.failed += 1;
    if (operations.open > 0) return;
    if (operations.failed > 0) {
      // What a client is told of a mutation that is undone must not look as if it were stored.
      const isUndone = await scope.fail();
      if (isUndone && end.operation?.operation === 'mutation' && singleResult !== undefined)
        singleResult.data = null;
      return;
    }
    try {
      await scope.complete();
    } catch (error) {
      if (singleResult === undefined) throw error;
      singleResult.data = null;
      singleResult.errors = [graphqlErrorOf(error)];
    }
  }
}

// The mark of @nestjs/apollo's own @Plugin(), which need not be installed.
Reflect.defineMetadata(NEST_METADATA.graphqlPlugin, true, GraphqlOperationPlugin);

function graphqlErrorOf(error: unknown): object {
  const code = error instanceof EngineError ? error.code : 'INTERNAL_SERVER_ERROR';
  const message = error instanceof Error ? error.message : String(error);
  return { message, extensions: { code } };
}
