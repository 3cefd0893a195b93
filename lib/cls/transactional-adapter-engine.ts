import { AsyncEngine, type AsyncTransaction, type TransactionalOptions } from '../engine/index.js';
import { anyRule, functionRule } from '../engine/util/option-rule.js';
import { OptionTable } from '../engine/util/option-table.js';
import { TRANSACTIONAL_OPTIONS } from '../engine/ambient/transactional-options.js';

/** What the adapter is and gives. */
export interface TransactionalAdapterEngineOptions<Tx = AsyncEngine> {
  /** The token of the engine: `getEngineToken('orders')`. Default: that of the unnamed one. */
  readonly connectionToken?: unknown;
  /** The options of each transaction that says nothing else. */
  readonly defaultTxOptions?: TransactionalOptions | undefined;
  /**
   * Makes what `txHost.tx` is, of an engine: `(engine) => drizzle(asPool(engine))`. Called twice: for work in
   * transactions, and for work outside of them. Default: the engine.
   */
  readonly instance?: ((engine: AsyncEngine) => Tx) | undefined;
}

/** What the plugin calls. */
interface AdapterMethods<Tx> {
  wrapWithTransaction<T>(
    options: TransactionalOptions,
    work: () => Promise<T>,
    setTx: (tx?: Tx) => void,
  ): Promise<T>;
  wrapWithNestedTransaction<T>(
    options: TransactionalOptions,
    work: () => Promise<T>,
    setTx: (tx?: Tx) => void,
  ): Promise<T>;
  getFallbackInstance(): Tx;
}

const ADAPTER_OPTIONS = new OptionTable<TransactionalAdapterEngineOptions<unknown>>(
  'TransactionalAdapterEngine',
  { connectionToken: anyRule, defaultTxOptions: anyRule, instance: functionRule },
  'refused',
);

/**
 * An adapter for `@nestjs-cls/transactional`: its decorators and its `TransactionHost` work on an engine, so
 * that code that uses them takes part in the transactions of `engine.transaction()` and of this package's
 * `@Transactional()`, and these in theirs. `txHost.tx` is the engine itself, or what `instance` makes of it.
 *
 * @throws ArgumentError for a wrong option.
 *
 * @example
 * ```ts
 * // ClsModule.forRoot({ plugins: [new ClsPluginTransactional({ adapter })] })
 * const adapter = new TransactionalAdapterEngine({ instance: (engine) => asPool(engine) });
 * ```
 */
export class TransactionalAdapterEngine<Tx = AsyncEngine> {
  readonly connectionToken: unknown;
  readonly defaultTxOptions: Partial<TransactionalOptions>;
  readonly #instance: (engine: AsyncEngine) => unknown;

  constructor(options: TransactionalAdapterEngineOptions<Tx> = {}) {
    const { connectionToken = AsyncEngine, defaultTxOptions = {}, instance } = ADAPTER_OPTIONS.parse(options);
    this.connectionToken = connectionToken;
    this.defaultTxOptions = TRANSACTIONAL_OPTIONS.parse(defaultTxOptions);
    this.#instance = instance ?? ((engine) => engine);
  }

  /** Called by the plugin. */
  readonly optionsFactory = (engine: AsyncEngine): AdapterMethods<Tx> => {
    const inside = this.#instance(engine) as Tx;
    const outside = this.#instance(engine.detached()) as Tx;
    const begun = new WeakSet<AsyncTransaction>();
    // The plugin asks outside of its transactions alone: where one of its own is active, it has been left.
    const isLeft = (): boolean => isIn(begun, engine.activeTransaction());
    return {
      wrapWithTransaction: (options, work, setTx) => {
        // One of the plugin's own around it: it was left, or another one is asked for.
        const propagation = isLeft() ? 'requires-new' : 'nested';
        const run = async (): Promise<Awaited<ReturnType<typeof work>>> => {
          const active = engine.activeTransaction();
          if (active !== undefined) begun.add(active);
          setTx(inside);
          return await work();
        };
        return engine.transaction(run, { ...options, propagation });
      },
      wrapWithNestedTransaction: (options, work, setTx) => {
        const run = (): ReturnType<typeof work> => {
          setTx(inside);
          return work();
        };
        return engine.transaction(run, { ...options, propagation: 'nested' });
      },
      getFallbackInstance: () => (isLeft() ? outside : inside),
    };
  };
}

function isIn(begun: WeakSet<AsyncTransaction>, transaction: AsyncTransaction | undefined): boolean {
  for (let one = transaction; one !== undefined; one = one.parent) if (begun.has(one)) return true;
  return false;
}
