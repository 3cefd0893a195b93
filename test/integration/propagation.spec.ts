import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { PoolDeadlockError, PropagationError, UnexpectedRollbackError } from 'nest-async-engine/engine';
import type { AsyncEngine, Propagation } from 'nest-async-engine/engine';
import { failureOf, insert, TransactionWorkshop } from '../support/transaction-workshop.js';

type Fate = 'success' | 'inner throws and is caught' | 'outer throws';
type Order = 'one after the other' | 'Promise.all';

const OUTER = ['outer 1', 'outer 2'];
const INNER = ['a', 'b'];
const ALL = [...INNER, ...OUTER];
const NONE: readonly string[] = [];

interface Outcome {
  readonly rows: readonly string[];
  /** What the inner calls fail with, where it is not their own error. */
  readonly inner?: abstract new (...args: never[]) => Error;
  /** What the outer one fails with, where it is not its own error. */
  readonly outer?: abstract new (...args: never[]) => Error;
}

interface Row {
  readonly mode: Propagation;
  readonly around: 'none' | 'active';
  readonly outcomes: Readonly<Record<Fate, Outcome>>;
  /** On a pool of one connection, which the outer transaction keeps. */
  readonly alone?: Readonly<Record<Fate, Outcome>>;
}

const outcomes = (success: Outcome, caught: Outcome, thrown: Outcome): Readonly<Record<Fate, Outcome>> => ({
  success,
  'inner throws and is caught': caught,
  'outer throws': thrown,
});
const begun = outcomes({ rows: ALL }, { rows: OUTER }, { rows: ALL });
const plain = outcomes({ rows: ALL }, { rows: ALL }, { rows: ALL });
const joined = outcomes({ rows: ALL }, { rows: NONE, outer: UnexpectedRollbackError }, { rows: NONE });
const refused = (inner: NonNullable<Outcome['inner']>): Readonly<Record<Fate, Outcome>> =>
  outcomes({ rows: OUTER, inner }, { rows: OUTER, inner }, { rows: NONE, inner });
const mandatoryAlone = { rows: OUTER, inner: PropagationError };

const TABLE: readonly Row[] = [
  { mode: 'required', around: 'none', outcomes: begun },
  { mode: 'required', around: 'active', outcomes: joined },
  { mode: 'nested', around: 'none', outcomes: begun },
  {
    mode: 'nested',
    around: 'active',
    outcomes: outcomes({ rows: ALL }, { rows: OUTER }, { rows: NONE }),
  },
  { mode: 'requires-new', around: 'none', outcomes: begun },
  {
    mode: 'requires-new',
    around: 'active',
    outcomes: outcomes({ rows: ALL }, { rows: OUTER }, { rows: INNER }),
    alone: refused(PoolDeadlockError),
  },
  { mode: 'supports', around: 'none', outcomes: plain },
  { mode: 'supports', around: 'active', outcomes: joined },
  { mode: 'not-supported', around: 'none', outcomes: plain },
  {
    mode: 'not-supported',
    around: 'active',
    outcomes: outcomes({ rows: ALL }, { rows: ALL }, { rows: INNER }),
    alone: refused(PoolDeadlockError),
  },
  {
    mode: 'mandatory',
    around: 'none',
    outcomes: outcomes(mandatoryAlone, mandatoryAlone, mandatoryAlone),
  },
  { mode: 'mandatory', around: 'active', outcomes: joined },
  { mode: 'never', around: 'none', outcomes: plain },
  { mode: 'never', around: 'active', outcomes: refused(PropagationError) },
];

const FATES: readonly Fate[] = ['success', 'inner throws and is caught', 'outer throws'];
const ORDERS: readonly Order[] = ['one after the other', 'Promise.all'];

class OwnError extends Error {}

let workshop: TransactionWorkshop;
beforeAll(async () => {
  workshop = await TransactionWorkshop.open('propagation');
});
afterEach(() => workshop.tidyUp());
afterAll(() => workshop.close());

async function play(
  engine: AsyncEngine,
  { mode, around }: Row,
  fate: Fate,
  order: Order,
): Promise<unknown[]> {
  const failures: unknown[] = [];
  const inner = async (name: string): Promise<void> => {
    const work = async (): Promise<void> => {
      await engine.execute(insert(name));
      if (fate === 'inner throws and is caught') throw new OwnError('inner');
    };
    await engine.transaction(work, { propagation: mode }).catch((error: unknown) => failures.push(error));
  };
  const outer = async (): Promise<void> => {
    await engine.execute(insert('outer 1'));
    if (order === 'Promise.all') await Promise.all(INNER.map(inner));
    else for (const name of INNER) await inner(name);
    await engine.execute(insert('outer 2'));
    if (fate === 'outer throws') throw new OwnError('outer');
  };
  const done = around === 'active' ? engine.transaction(outer) : outer();
  const failure = await done.then(
    () => undefined,
    (error: unknown) => error,
  );
  return [failure, ...failures];
}

for (const row of TABLE) {
  describe(`${row.mode}, ${row.around === 'none' ? 'without a transaction' : 'inside a transaction'}`, () => {
    for (const poolSize of [1, 2, 10]) {
      for (const order of ORDERS) {
        for (const fate of FATES) {
          const expected = (poolSize === 1 ? (row.alone ?? row.outcomes) : row.outcomes)[fate];
          it(`${fate}, ${order}, pool of ${poolSize}: stores ${expected.rows.join(', ') || 'nothing'}`, async () => {
            const engine = workshop.engine({ poolSize });
            const [outer, ...inner] = await play(engine, row, fate, order);
            expect(await workshop.names()).toEqual(expected.rows);
            const own = fate === 'outer throws' ? OwnError : undefined;
            expect((outer as Error | undefined)?.constructor).toBe(expected.outer ?? own);
            const ownInner = fate === 'inner throws and is caught' ? OwnError : undefined;
            const innerError = expected.inner ?? ownInner;
            expect(inner.map((error) => (error as Error).constructor)).toEqual(
              innerError === undefined ? [] : INNER.map(() => innerError),
            );
          });
        }
      }
    }
  });
}

it("'requires-new' on a pool of 1 is a PoolDeadlockError in under a second", async () => {
  const engine = workshop.engine({ poolTimeout: 30_000 });
  const begin = performance.now();
  const failure = await failureOf(
    engine.transaction(async () => {
      await engine.execute(insert('outer'));
      await engine.transaction(() => engine.execute(insert('inner')), { propagation: 'requires-new' });
    }),
  );
  expect(failure).toBeInstanceOf(PoolDeadlockError);
  expect(performance.now() - begin).toBeLessThan(1_000);
});

it("a pool whose every connection waits in 'requires-new' is a PoolDeadlockError for the last to come", async () => {
  const engine = workshop.engine({ poolSize: 3, poolTimeout: 30_000 });
  const outcomes = await Promise.allSettled(
    ['a', 'b', 'c'].map((name) =>
      engine.transaction(async () => {
        await engine.execute(insert(name));
        await engine.transaction(() => engine.execute(insert(`${name} new`)), {
          propagation: 'requires-new',
        });
      }),
    ),
  );
  const failures = outcomes.filter((outcome) => outcome.status === 'rejected');
  expect(failures.length).toBeGreaterThan(0);
  for (const { reason } of failures) expect(reason).toBeInstanceOf(PoolDeadlockError);
  expect(await workshop.names()).toHaveLength((3 - failures.length) * 2);
});

it("a failed inner 'required' that is caught names its error at the outer commit", async () => {
  const engine = workshop.engine();
  const inner = new OwnError('inner');
  const failure = await failureOf(
    engine.transaction(async () => {
      await engine.execute(insert('outer'));
      await engine
        .transaction(() => Promise.reject(inner), { propagation: 'required' })
        .catch(() => undefined);
    }),
  );
  expect(failure).toBeInstanceOf(UnexpectedRollbackError);
  expect((failure as Error).cause).toBe(inner);
});

it("a failed inner 'required' inside a savepoint undoes that savepoint only", async () => {
  const engine = workshop.engine();
  await engine.transaction(async () => {
    await engine.execute(insert('outer'));
    const failure = await failureOf(
      engine.transaction(async () => {
        await engine.execute(insert('nested'));
        await engine
          .transaction(() => Promise.reject(new OwnError('inner')), { propagation: 'required' })
          .catch(() => undefined);
      }),
    );
    expect(failure).toBeInstanceOf(UnexpectedRollbackError);
  });
  expect(await workshop.names()).toEqual(['outer']);
});
