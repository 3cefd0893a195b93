import { OF_STATEMENTS, transactionOptionRules } from '../transaction/isolation.js';
import { asItIs, flagRule, oneOf, synchronousRule, type OptionRule } from '../util/option-rule.js';
import { OptionTable } from '../util/option-table.js';
import type { TransactionalOptions } from './open-transaction.js';
import { PROPAGATION } from './propagation.js';
import { retryRule } from '../transaction/retry.js';

const matchersRule: OptionRule = {
  expected:
    'an array of classes of errors, or of functions that are not async and say whether an error is meant',
  accepts: (value) => Array.isArray(value) && value.every(synchronousRule.accepts),
  coerce: asItIs,
};

/** What each option of an ambient transaction may be. */
export const TRANSACTIONAL_OPTIONS = new OptionTable<TransactionalOptions>(
  'transaction',
  {
    ...transactionOptionRules,
    propagation: oneOf(...Object.keys(PROPAGATION)),
    durable: flagRule,
    retry: retryRule,
    rollbackFor: matchersRule,
    noRollbackFor: matchersRule,
  },
  'taken',
  () => ({
    ...OF_STATEMENTS,
    engine: 'It is for @Transactional(): here it is the engine whose method is called.',
  }),
);
