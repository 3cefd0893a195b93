import 'reflect-metadata';
import { NEST_METADATA } from '../shared/nest-metadata.js';
import type { GraphqlDrivers } from './graphql-drivers.js';
import { correct, hideStatements, type OperationResult } from './graphql-answer.js';
import type { GraphqlOperation, GraphqlOperations } from './graphql-operations.js';

/** What Apollo tells of an operation; the little of it that is needed here. */
interface ApolloRequest {
  readonly contextValue: object;
  readonly requestIsBatched: boolean;
  readonly schema: object;
  readonly errors?: readonly unknown[] | undefined;
  readonly operation?: { readonly operation: string } | undefined;
  readonly response: {
    readonly body?: { readonly kind: string; readonly singleResult?: OperationResult } | undefined;
  };
}

/**
 * Ends the unit of work of an operation when all its fields are resolved, before the plugins that look at the
 * answer. Apollo's module finds it by its metadata.
 */
export class GraphqlOperationPlugin {
  readonly #operations: GraphqlOperations;
  readonly #drivers: GraphqlDrivers;

  constructor(operations: GraphqlOperations, drivers: GraphqlDrivers) {
    this.#operations = operations;
    this.#drivers = drivers;
  }

  async requestDidStart(request: ApolloRequest): Promise<ApolloOperation> {
    const operation = this.#operations.begin(request.contextValue);
    return new ApolloOperation(operation, this.#drivers);
  }

  /** Another plugin has failed, and no answer of this operation is sent. */
  async unexpectedErrorProcessingRequest(failure: { readonly requestContext: ApolloRequest }): Promise<void> {
    await this.#operations.of(failure.requestContext.contextValue)?.end(true);
  }
}

/** Apollo's listener of one operation. */
class ApolloOperation {
  readonly #operation: GraphqlOperation;
  readonly #drivers: GraphqlDrivers;
  #state: 'executing' | 'answered' = 'executing';

  constructor(operation: GraphqlOperation, drivers: GraphqlDrivers) {
    this.#operation = operation;
    this.#drivers = drivers;
  }

  /** Before they are formatted. */
  async didEncounterErrors({ errors }: ApolloRequest): Promise<void> {
    hideStatements(errors);
  }

  async executionDidStart(request: ApolloRequest): Promise<object> {
    return {
      executionDidEnd: async (error?: Error) => {
        if (error === undefined) await this.#end(request);
        else await this.#operation.end(true, request.requestIsBatched);
      },
    };
  }

  /** An operation that was refused before its execution ends here. */
  async willSendResponse(request: ApolloRequest): Promise<void> {
    await this.#end(request);
  }

  async #end({ errors = [], requestIsBatched, response, operation, schema }: ApolloRequest): Promise<void> {
    const outcome = await this.#operation.end(errors.length > 0, requestIsBatched);
    const result = response.body?.singleResult;
    // Corrected once: a plugin that hides what errors say may have seen it since.
    if (result === undefined || this.#state === 'answered') return;
    this.#state = 'answered';
    const formatError = this.#drivers.formatErrorOf(schema);
    correct(result, outcome, operation?.operation === 'mutation', (formatted, error) =>
      formatError === undefined ? formatted : formatError(formatted, error),
    );
  }
}

Reflect.defineMetadata(NEST_METADATA.graphqlPlugin, true, GraphqlOperationPlugin);
