import { describe, expect, it } from 'vitest';
import { NoSuchDriverError } from '../../../../lib/engine/errors/errors.js';
import { makeUrl } from '../../../../lib/engine/driver/url/url.js';

function caught(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('dialect and driver', () => {
  it.each([
    ['postgresql://', 'postgresql', 'pg'],
    ['postgres://', 'postgresql', 'pg'],
    ['postgresql+pg://', 'postgresql', 'pg'],
    ['postgres+pglite://', 'postgresql', 'pglite'],
  ])('are known for %s', (text, backend, driver) => {
    const url = makeUrl(text);

    expect([url.getBackendName(), url.getDriverName()]).toEqual([backend, driver]);
  });

  it.each(['Postgresql://h1', 'mysql://h1', 'constructor://h1'])(
    'refuses the dialect of %s and lists the known ones',
    (text) => {
      const error = caught(() => makeUrl(text).getBackendName());

      expect(error).toBeInstanceOf(NoSuchDriverError);
      expect(String(error)).toContain('postgresql, postgres');
    },
  );

  it.each(['postgresql+asyncpg://h1', 'postgresql+://h1', 'postgresql+pg+pg://h1'])(
    'refuses the driver of %s and lists the known ones',
    (text) => {
      const error = caught(() => makeUrl(text).getDriverName());

      expect(error).toBeInstanceOf(NoSuchDriverError);
      expect(String(error)).toContain('pg, pglite');
    },
  );
});
