import { describe, expect, it } from 'vitest';
import * as errors from '../../../lib/engine/errors/errors.js';
import * as serverErrors from '../../../lib/engine/errors/server-errors.js';

describe('every error class', () => {
  type ErrorClass = new (message: string) => errors.EngineError;
  const all: Readonly<Record<string, ErrorClass>> = { ...errors, ...serverErrors };
  const classes = Object.entries(all).map(([name, type]) => ({ name, type }));

  it.each(classes)('$name has its own name written out, or that of the class above it', ({ name, type }) => {
    const { name: above } = Object.getPrototypeOf(type) as { name: string };
    // Without a name of its own, as a bundler leaves it.
    Object.defineProperty(type, 'name', { value: 'e' });
    expect([name, above]).toContain(new type('a message').name);
    Object.defineProperty(type, 'name', { value: name });
  });
});
