import { describe, expect, it } from 'vitest';
import { nameAndReasonOf, reasonOf, stackOf } from '../../../lib/engine/errors/thrown.js';

const unreadable = Object.defineProperty(new Error(), 'message', {
  get: () => {
    throw new TypeError('of the getter');
  },
});
const revoked = Proxy.revocable({}, {});
revoked.revoke();

describe('what was thrown', () => {
  it('is its message, its name or its stack', () => {
    const error = new RangeError('too far');
    expect(reasonOf(error)).toBe('too far');
    expect(nameAndReasonOf(error)).toBe('RangeError: too far');
    expect(stackOf(error)).toBe(error.stack);
    expect([undefined, 0, Symbol('s'), 'text'].map(reasonOf)).toEqual([
      'undefined',
      '0',
      'Symbol(s)',
      'text',
    ]);
  });

  it.each([
    ['an object without a prototype', Object.create(null)],
    ['an error whose message throws', unreadable],
    ['a revoked proxy', revoked.proxy],
  ])('has a text where it is %s', (_, thrown: unknown) => {
    expect(reasonOf(thrown)).toBe('something that has no text');
    expect(nameAndReasonOf(thrown)).toBe('something that has no text');
    expect(typeof stackOf(thrown)).toBe('string');
  });
});
