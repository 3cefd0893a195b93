import { expect, it } from 'vitest';
import { ReplicaRouter } from '../../../lib/engine/connection/replica-router.js';
import type { CommandResult, Driver, DriverConnection } from '../../../lib/engine/driver/driver.js';
import { QueuePool } from '../../../lib/engine/pool/kinds/queue-pool.js';
import { Replica } from '../../../lib/engine/pool/replicas/replica.js';
import { resolveReplicaOptions } from '../../../lib/engine/pool/replicas/replica-options.js';
import { ReplicaSet } from '../../../lib/engine/pool/replicas/replica-set.js';
import { WriteMark } from '../../../lib/engine/pool/replicas/write-mark.js';
import { FakeDriver } from '../../support/doubles/fake-driver.js';

/** A driver whose server is a standby of `version` that has applied all it got. */
function standbyOf(version: number): Driver {
  const fake = new FakeDriver();
  const row = { standby: true, version, replayed: '0/3000000', atEnd: true, age: 0, lsn: '0/3000000' };
  return {
    facts: fake.facts,
    connect: async () => {
      const session: DriverConnection = await fake.connect();
      const answer: CommandResult = { command: 'SELECT', rowCount: 1, shape: undefined, rows: [row] };
      session.execute = () => Promise.resolve(answer);
      return session;
    },
  };
}

it.each([
  [180_004, 'SELECT pg_last_wal_replay_lsn()::text AS "reached"'],
  [190_000, "WAIT FOR LSN '0/3000060' WITH (TIMEOUT '70ms', NO_THROW)"],
])('a standby of version %d is asked for a write by %s', async (version, text) => {
  const driver = standbyOf(version);
  const pools = [new QueuePool(driver), new QueuePool(driver)] as const;
  const options = resolveReplicaOptions({ url: 'postgresql://standby/shop', waitForWrites: 70 });
  const set = new ReplicaSet(options, [new Replica('standby:5432', driver, pools[1])], () => pools[0]);
  const mark = new WriteMark();
  mark.note('0/3000060');
  const router = new ReplicaRouter(set, {
    pool: pools[0],
    engineObserver: () => undefined,
    connectTo: (pool) => pool.connect(),
    writeMarks: () => [mark],
  });
  const route = router.route({ readOnly: true });
  await route?.choose();
  expect(route?.question?.command.text).toBe(text);
  await set.dispose(true);
  await pools[0].dispose();
});
