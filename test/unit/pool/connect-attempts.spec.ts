import { expect, it } from 'vitest';
import { QueuePool } from '../../../lib/engine/pool/kinds/queue-pool.js';
import { FakeDriver, unreachable } from '../../support/doubles/fake-driver.js';

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('a server that was down gets one attempt for all callers, then 2, then 4', async () => {
  const driver = new FakeDriver();
  const pool = new QueuePool(driver, { poolSize: 16, maxOverflow: 0 });
  driver.connects.shut();
  const refused = pool.connect();
  driver.connects.failOne(unreachable());
  await expect(refused).rejects.toThrow('the fake server is down');

  const loans = Array.from({ length: 16 }, () => pool.connect());
  const open: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    await settle();
    open.push(driver.connects.waiting);
    for (let left = driver.connects.waiting; left > 0; left -= 1) driver.connects.passOne();
  }
  expect(open).toEqual([1, 2, 4]);
  driver.connects.open();
  for (const loan of await Promise.all(loans)) await loan.close();
  await pool.dispose();
});
