import { expect, it } from 'vitest';
import { QueuePool } from '../../../lib/engine/pool/kinds/queue-pool.js';
import { FakeDriver } from '../../support/doubles/fake-driver.js';

it('tells once of the end of a connection whose reset has failed', async () => {
  const driver = new FakeDriver();
  const pool = new QueuePool(driver);
  const seen: string[] = [];
  for (const name of ['reset', 'close', 'checkin'] as const) pool.on(name, () => void seen.push(name));
  const loan = await pool.connect();
  const [session] = driver.sessions;
  expect(session).toBeDefined();
  if (session !== undefined) {
    session.status = 'open';
    session.isStuck = true;
  }
  await loan.close();
  expect([seen, pool.overflow(), driver.live]).toEqual([['reset', 'close', 'checkin'], -5, 0]);
  await pool.dispose();
});
