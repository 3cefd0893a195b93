import { Logger } from '@nestjs/common';
import { OnEvent, type OnEventOptions } from '@nestjs/event-emitter';
import { ArgumentError } from '../../engine/index.js';
import { engineOf, injectEngine } from '../transactional/engine-property.js';
import { copyMethodMetadata, type Method } from '../shared/method-metadata.js';
import { deferredBodyOf, setDeferredBody, type MethodBody } from '../transactional/method-wrapper.js';
import { expectArgument } from '../../engine/util/argument.js';
import { oneOf, recordRule } from '../../engine/util/option-rule.js';
import { resolveEngine, type EngineChoice } from '../transactional/transactional-options.js';
import { printable } from '../../engine/util/logger.js';
import { reasonOf, stackOf } from '../../engine/errors/thrown.js';

/** When the listener runs, seen from the transaction in which the event was emitted. */
export type TransactionPhase = 'beforeCommit' | 'afterCommit' | 'afterRollback' | 'afterCompletion';

/** How a listener waits for its transaction, and what it does then. */
interface Listener extends MethodBody {
  readonly phase: TransactionPhase;
  readonly engine: EngineChoice | undefined;
  readonly suppresses: boolean;
}

/** Those of `@OnEvent()`, the phase, and the database. */
export interface TransactionalEventListenerOptions extends OnEventOptions {
  /** Default `afterCommit`. */
  readonly phase?: TransactionPhase | undefined;
  /** Default: the database that `@Transactional()` on the class names, otherwise the unnamed one. */
  readonly engine?: EngineChoice | undefined;
}

/**
 * Decorates a method.
 *
 * @typeParam Method Any method.
 */
export type MethodDecoratorOf = <Method extends (...args: never[]) => unknown>(
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<Method>,
) => TypedPropertyDescriptor<Method>;

/**
 * `@OnEvent()` for a listener that must not run ahead of the transaction in which its event was emitted: it
 * runs at the `phase` of that transaction, awaited, and not at all where the phase never comes. An event that
 * was emitted outside a transaction runs an `afterCommit` listener at once and leaves the others out, as
 * hooks do.
 *
 * What a listener throws is logged, as with `@OnEvent()`; with `suppressErrors: false` it becomes an
 * `AfterCommitError` of the transaction's caller. A `beforeCommit` listener that throws vetoes the commit,
 * whatever `suppressErrors` says. `@Transactional()` on the method or on its class covers what it does.
 *
 * Nest makes a request-scoped listener for each event, in its own time: emit with `await
 * emitter.emitAsync()`, so that it is there before the transaction ends.
 *
 * @throws ArgumentError for `async`, `nextTick` and `promisify`, which deliver the event when its transaction
 * may be over, and for two of them with different options on one method.
 * @example
 * ```ts
 * @TransactionalEventListener('order.placed')
 * async mail(order: Order): Promise<void> {}
 * ```
 */
export function TransactionalEventListener(
  event: string | symbol | (string | symbol)[],
  options: TransactionalEventListenerOptions = {},
): MethodDecoratorOf {
  expectPhase(options);
  const { phase = 'afterCommit', engine, ...onEvent } = options;
  const suppresses = phase !== 'beforeCommit' && (onEvent.suppressErrors ?? true);
  return (target, key, descriptor) => {
    const label = `${target.constructor.name}.${String(key)}`;
    expectImmediate(label, onEvent);
    const method = descriptor.value as unknown as Method;
    const listener: Listener = { call: method, phase, engine, suppresses };
    const earlier = deferredBodyOf(method) as Listener | undefined;
    if (earlier !== undefined) expectSame(label, earlier, listener);
    const value = earlier === undefined ? wrap(target, label, listener) : method;
    const decorated: PropertyDescriptor = { ...descriptor, value };
    OnEvent(event, onEvent)(target, key, decorated);
    return decorated;
  };
}

function wrap(target: object, label: string, listener: Listener): Method {
  const { phase, engine: choice, suppresses } = listener;
  injectEngine(target, choice);
  const wrapper = function (this: object, ...args: unknown[]): void {
    const run = async (): Promise<void> => {
      await listener.call.apply(this, args);
    };
    const engine = engineOf(this, resolveEngine(this, target, choice), label);
    engine[phase](suppresses ? () => run().catch(report) : run);
  };
  copyMethodMetadata(wrapper, listener.call);
  setDeferredBody(wrapper, listener);
  return wrapper;
}

// The other options are those of @OnEvent(), which may get more of them.
function expectPhase(options: TransactionalEventListenerOptions): void {
  expectArgument('@TransactionalEventListener()', recordRule, options);
  const { phase } = options;
  if (phase !== undefined)
    expectArgument("the option 'phase' of @TransactionalEventListener()", phaseRule, phase);
}

const phaseRule = oneOf('beforeCommit', 'afterCommit', 'afterRollback', 'afterCompletion');

function expectImmediate(label: string, options: OnEventOptions): void {
  const late = (['async', 'nextTick', 'promisify'] as const).find((name) => name in options && options[name]);
  if (late === undefined) return;
  throw new ArgumentError(
    `@TransactionalEventListener() on ${label}: '${late}' delivers the event when its transaction may be over. Leave it out.`,
  );
}

/** A method hears of several events in one way: which of them it was is not known when it is called. */
function expectSame(label: string, earlier: Listener, listener: Listener): void {
  const { phase, engine, suppresses } = earlier;
  if (phase === listener.phase && engine === listener.engine && suppresses === listener.suppresses) return;
  throw new ArgumentError(
    `${label} has two @TransactionalEventListener()s with different options. Give both the same, or write two methods.`,
  );
}

function report(error: unknown): void {
  new Logger('TransactionalEventListener').error(printable(reasonOf(error)), printable(stackOf(error)));
}
