import type { PGlite } from '@electric-sql/pglite';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { text } from 'nest-async-engine/engine';

/**
 * Makes the server of `engine` end in the middle of a statement, as a crash does, and gives the error of that statement.
 * A really crashed WASM server can't be asked for anything: calls to it never return.
 */
export async function crash(engine: AsyncEngine): Promise<unknown> {
  const raw = await engine.rawConnection();
  const instance = raw.driverConnection as PGlite;
  await raw.close();
  const end = Object.assign(new Error('Program terminated with exit(1)'), { name: 'ExitStatus' });
  instance.execProtocolRawStream = () => Promise.reject(end);
  return await engine.execute(text('SELECT 1')).then(
    () => undefined,
    (error: unknown) => error,
  );
}
