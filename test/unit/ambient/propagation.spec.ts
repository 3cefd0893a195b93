import { describe, expect, it } from 'vitest';
import { PROPAGATION, type PropagationAction } from '../../../lib/engine/ambient/propagation.js';

// Spring's semantics: docs of Propagation, "Transaction Propagation".
const EXPECTED: readonly (readonly [
  mode: keyof typeof PROPAGATION,
  none: PropagationAction,
  active: PropagationAction,
])[] = [
  ['required', 'begin', 'join'],
  ['nested', 'begin', 'nest'],
  ['requires-new', 'begin', 'begin'],
  ['supports', 'plain', 'join'],
  ['not-supported', 'plain', 'suspend'],
  ['mandatory', 'refuse', 'join'],
  ['never', 'plain', 'refuse'],
];

describe('propagation', () => {
  it.each(EXPECTED)('%s: without a transaction %s, inside one %s', (mode, none, active) => {
    expect(PROPAGATION[mode]).toEqual({ none, active });
  });

  it('has no other mode', () => {
    expect(Object.keys(PROPAGATION).toSorted()).toEqual(EXPECTED.map(([mode]) => mode).toSorted());
  });
});
