import type { Observable } from 'rxjs';
import { TRANSACTIONAL_OPTIONS } from '../../engine/ambient/transactional-options.js';
import type { AsyncEngine, TransactionalOptions } from '../../engine/index.js';
import { mergeOptions } from '../../engine/util/merge-options.js';
import { eitherRule, functionRule, nameRule } from '../../engine/util/option-rule.js';
import { OptionTable } from '../../engine/util/option-table.js';

/**
 * The engine of a method: the name of its database, or a function that gives it for the object that the
 * method is called on.
 */
export type EngineChoice = string | ((self: never) => AsyncEngine);

/** How a method is transactional; `engine` says in which database. */
export interface TransactionalMethodOptions extends TransactionalOptions {
  /** Default: the unnamed database. */
  readonly engine?: EngineChoice | undefined;
}

/** What each option of a transactional method may be. */
export const TRANSACTIONAL_METHOD_OPTIONS = new OptionTable<TransactionalMethodOptions>(
  '@Transactional',
  { ...TRANSACTIONAL_OPTIONS.rules, engine: eitherRule(nameRule, functionRule) },
  'taken',
  () => TRANSACTIONAL_OPTIONS.misplaced,
);

/** What a transactional method may return: the end of each of these can be awaited. */
export type TransactionalReturn =
  PromiseLike<unknown> | Observable<unknown> | AsyncGenerator<unknown, unknown, unknown>;

const CLASS_OPTIONS = Symbol.for('nest-async-engine:class-options');

/** Keeps what the decorator of a class says, for its own methods and for those that it inherits. */
export function setClassOptions(prototype: object, options: TransactionalMethodOptions): void {
  const value = mergeOptions(classOptionsOf(prototype), options);
  Object.defineProperty(prototype, CLASS_OPTIONS, { value, configurable: true });
}

/**
 * The options of a method that was declared on `declaring`, for an object with `prototype`. The declaring
 * class gives defaults; a class below it, to which an inherited method belongs, has the last word.
 */
export function resolveOptions(
  prototype: object,
  declaring: object,
  own: TransactionalMethodOptions,
): TransactionalMethodOptions {
  const heirs: object[] = [];
  let ancestor: object | null = prototype;
  for (; ancestor !== null && ancestor !== declaring; ancestor = Object.getPrototypeOf(ancestor) as object) {
    heirs.unshift(ancestor);
  }
  const resolved = mergeOptions(classOptionsOf(declaring), own);
  // A method that was copied to another class belongs to that class alone.
  return heirs.reduce((options, heir) => mergeOptions(options, classOptionsOf(heir)), resolved);
}

/** The engine of what was declared on `declaring` with `own`, for `self`. */
export function resolveEngine(
  self: object,
  declaring: object,
  own: EngineChoice | undefined,
): EngineChoice | undefined {
  return resolveOptions(Object.getPrototypeOf(self) as object, declaring, { engine: own }).engine;
}

function classOptionsOf(prototype: object): TransactionalMethodOptions {
  const own = Object.getOwnPropertyDescriptor(prototype, CLASS_OPTIONS)?.value as
    TransactionalMethodOptions | undefined;
  return own ?? {};
}
