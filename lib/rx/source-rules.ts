import { AsyncConnection, AsyncEngine } from '../engine/index.js';
import { asItIs, type OptionRule } from '../engine/util/option-rule.js';

export const engineRule: OptionRule = {
  expected: 'an engine',
  accepts: (value) => value instanceof AsyncEngine,
  coerce: asItIs,
};

export const sourceRule: OptionRule = {
  expected: 'an engine or a connection',
  accepts: (value) => value instanceof AsyncEngine || value instanceof AsyncConnection,
  coerce: asItIs,
};
