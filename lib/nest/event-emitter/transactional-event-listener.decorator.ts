import { Logger } from '@nestjs/common';
import { OnEvent } from '@nestjs/event-emitter';
import type { OnEventOptions } from '@nestjs/event-emitter';
import { ArgumentError, NoActiveScopeError } from '../../engine/index.js';
import type { AsyncEngine } from '../../engine/index.js';
import { dressUp } from '../transactional/dressed-method.js';
import { injectEngine } from '../transactional/engine-property.js';
import type { TransactionalMethod } from '../transactional/transactional-call.js';

/** When the listener runs, seen from the transaction in which the event was emitted. */
export type TransactionPhase = 'beforeCommit' | 'afterCommit' | 'afterRollback' | 'afterCompletion';

/** Those of `@OnEvent()`, the phase, and the database. */
export interface TransactionalEventListenerOptions extends OnEventOptions {
  /** Default `afterCommit`. */
  readonly phase?: TransactionPhase | undefined;
  /** The database's name; the unnamed one where it is not given. */
  readonly engine?: string | undefined;
}

/**
 * Decorates a method.
 *
 * @typeParam Method Whatever it takes and returns.
 */
export type ListenerDecorator = <Method extends (...args: never[]) => unknown>(
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<Method>,
) => TypedPropertyDescriptor<Method>;

/**
 * `@OnEvent()` for a listener that must not run ahead of the transaction in which its event was emitted: it
 * runs at the
 * `phase` of that one, awaited, and not at all where the phase never comes. An event emitted outside a
 * transaction runs an
 * `afterCommit` listener at once and leaves the others out, as hooks do.
 *
 * What a listener throws is logged, as with `@OnEvent()`; with `suppressErrors: false` it becomes an
 * `AfterCommitError` of the transaction's caller. A `beforeCommit` listener that throws vetoes the commit,
 * whatever `suppressErrors` says.
 *
 * Nest makes a request-scoped listener for each event, in its own time: emit with `await
 * emitter.emitAsync()`, so that it is there before the transaction ends.
 *
 * @throws ArgumentError for `async`, `nextTick` and `promisify`: they deliver the event when its transaction
 * may be over.
 */
export function TransactionalEventListener(
  event: string | symbol | (string | symbol)[],
  options: TransactionalEventListenerOptions = {},
): ListenerDecorator {
  const { phase = 'afterCommit', engine, ...onEvent } = options;
  return (target, key, descriptor) => {
    const label = `${target.constructor.name}.${String(key)}`;
    expectImmediate(label, onEvent);
    const listener = descriptor.value as unknown as TransactionalMethod;
    const property = injectEngine(target, engine);
    const suppresses = phase !== 'beforeCommit' && (onEvent.suppressErrors ?? true);
    const wrapper = function (this: object, ...args: unknown[]): void {
      const call = async (): Promise<void> => {
        await listener.apply(this, args);
      };
      engineOf(this, property, label)[phase](suppresses ? () => call().catch(report) : call);
    };
    const dressed: PropertyDescriptor = { ...descriptor, value: dressUp(wrapper, listener) };
    OnEvent(event, onEvent)(target, key, dressed);
    return dressed as typeof descriptor;
  };
}

function expectImmediate(label: string, options: OnEventOptions): void {
  const late = (['async', 'nextTick', 'promisify'] as const).find((name) => name in options && options[name]);
  if (late === undefined) return;
  throw new ArgumentError(
    `@TransactionalEventListener() on ${label}: '${late}' delivers the event when its transaction may be over. Leave it out.`,
  );
}

function engineOf(self: object, property: symbol, label: string): AsyncEngine {
  const engine = Reflect.get(self, property) as AsyncEngine | undefined;
  if (engine !== undefined) return engine;
  throw new NoActiveScopeError(
    `${label} listens in transactions and there is no engine for it. Import DatabaseModule.forRoot() and let Nest create the class.`,
  );
}

function report(error: unknown): void {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  new Logger('TransactionalEventListener').error(message, stack);
}
