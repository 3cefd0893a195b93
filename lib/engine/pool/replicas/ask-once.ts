import type { Pool } from '../pool.js';
import type { CheckoutOptions } from '../waiting-line.js';

/**
 * Asks the server one statement on a connection of the pool, within `timeout` ms in all, and gives its first
 * row. Without a CancelRequest: a session that does not answer in time is given up.
 */
export async function askOnce(
  pool: Pool,
  text: string,
  { timeout, holding }: CheckoutOptions & { readonly timeout: number },
): Promise<Readonly<Record<string, unknown>>> {
  const deadline = performance.now() + timeout;
  const pooled = await pool.connect({ timeout: Math.max(1, Math.ceil(timeout)), holding });
  const timer = setTimeout(() => pooled.invalidate(), Math.max(1, deadline - performance.now()));
  try {
    const { rows } = await pooled.session.execute([], { text, prepare: false });
    return (rows[0] ?? {}) as Readonly<Record<string, unknown>>;
  } finally {
    clearTimeout(timer);
    await pooled.close();
  }
}
