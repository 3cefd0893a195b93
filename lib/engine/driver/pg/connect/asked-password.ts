import { ConnectError } from '../../../errors/server-errors.js';
import { reasonOf } from '../../../errors/thrown.js';

/**
 * A password as a client of `pg` takes it. Of a function that throws what is falsy, or rejects with it, `pg`
 * thinks that it has connected.
 */
export function askedPassword(password: unknown): unknown {
  if (typeof password !== 'function') return password;
  return async (...given: unknown[]): Promise<unknown> => {
    try {
      return await (password as (...given: unknown[]) => unknown)(...given);
    } catch (cause) {
      if (cause instanceof Error) throw cause;
      throw new ConnectError(`the function of the option password has thrown ${reasonOf(cause)}`, {
        cause,
      });
    }
  };
}
