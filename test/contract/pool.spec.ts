import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, it } from 'vitest';
import type { Driver } from '../../lib/engine/driver/driver.js';
import { PoolTimeoutError, ResourceClosedError } from '../../lib/engine/errors/errors.js';
import { OperationalError } from '../../lib/engine/errors/server-errors.js';
import { AssertionPool } from '../../lib/engine/pool/kinds/assertion-pool.js';
import { NullPool } from '../../lib/engine/pool/kinds/null-pool.js';
import type { PoolOptions } from '../../lib/engine/pool/pool-options.js';
import type { Pool } from '../../lib/engine/pool/pool.js';
import type { PooledConnection } from '../../lib/engine/pool/pooled-connection.js';
import { QueuePool } from '../../lib/engine/pool/kinds/queue-pool.js';
import { StaticPool } from '../../lib/engine/pool/kinds/static-pool.js';
import {
  FakeDriver,
  sessionOf,
  settle,
  unreachable,
  type FakeSession,
} from '../support/doubles/fake-driver.js';
import { randomOf } from '../support/random.js';

interface Candidate {
  readonly poolClass: new (driver: Driver, options?: PoolOptions) => Pool;
  /** True: a connection that comes back is lent again. */
  readonly keeps: boolean;
  /** True: several borrowers have the same session at once. */
  readonly shares: boolean;
  /** How many callers may hold or want a connection at once. */
  readonly callers: number;
  readonly limit: number;
  readonly habit: string;
}

const candidates: readonly Candidate[] = [
  {
    poolClass: QueuePool,
    keeps: true,
    shares: false,
    callers: 8,
    limit: 3,
    habit: 'PO-40 lends the same session again',
  },
  {
    poolClass: NullPool,
    keeps: false,
    shares: false,
    callers: 8,
    limit: Infinity,
    habit: 'PO-50 opens a session every time',
  },
  {
    poolClass: StaticPool,
    keeps: true,
    shares: true,
    callers: 8,
    limit: Infinity,
    habit: 'lends the same session again',
  },
  {
    poolClass: AssertionPool,
    keeps: true,
    shares: false,
    callers: 1,
    limit: 1,
    habit: 'lends the same session again',
  },
];

const statementsOf = (session: FakeSession): string[] => session.log.filter((line) => !line.startsWith('('));

async function begin(loan: PooledConnection): Promise<void> {
  await loan.session.execute([], { text: 'BEGIN' });
}

describe.each(candidates)(
  '$poolClass.name, like every pool',
  ({ poolClass, keeps, shares, callers, limit, habit }) => {
    const setUp = (options?: PoolOptions): { driver: FakeDriver; pool: Pool } => {
      const driver = new FakeDriver();
      return { driver, pool: new poolClass(driver, options) };
    };

    it('PO-01 opens nothing when it is made, recreated and disposed', async () => {
      const { driver, pool } = setUp();
      await pool.recreate().dispose();
      await pool.dispose();
      expect(driver.attempts).toBe(0);
    });

    it('lends the session that the driver opened', async () => {
      const { driver, pool } = setUp();
      const loan = await pool.connect();
      expect(loan.session).toBe(driver.sessions[0]);
      expect(loan.driverConnection).toBe(driver.sessions[0]?.driverConnection);
    });

    it('counts what is on loan', async () => {
      const { pool } = setUp();
      const loan = await pool.connect();
      const during = pool.checkedOut();
      await loan.close();
      expect([during, pool.checkedOut()]).toEqual([1, 0]);
    });

    it.each([habit])('%s', async () => {
      const { driver, pool } = setUp();
      await (await pool.connect()).close();
      await (await pool.connect()).close();
      expect(driver.attempts).toBe(keeps ? 1 : 2);
    });

    it('PO-04 keeps info as long as the physical connection', async () => {
      const { pool } = setUp();
      const first = await pool.connect();
      first.info.set('seen', true);
      await first.close();
      const second = await pool.connect();
      expect(second.info.get('seen')).toBe(keeps ? true : undefined);
    });

    it('starts a new info with a new physical connection', async () => {
      const { pool } = setUp();
      const first = await pool.connect();
      first.info.set('seen', true);
      first.invalidate();
      expect((await pool.connect()).info.size).toBe(0);
    });

    it('PO-43 takes a connection back once, however often it is closed', async () => {
      const { pool } = setUp();
      const loan = await pool.connect();
      await Promise.all([loan.close(), loan.close()]);
      await loan.close();
      expect([pool.checkedOut(), pool.checkedIn()]).toEqual([0, keeps ? 1 : 0]);
    });

    it.each<[string, (loan: PooledConnection) => unknown]>([
      ['driverConnection', (loan) => loan.driverConnection],
      ['session', (loan) => loan.session],
      ['info', (loan) => loan.info],
      ['invalidate()', (loan) => loan.invalidate()],
      ['detach()', (loan) => loan.detach()],
    ])('refuses %s after close', async (_name, use) => {
      const { pool } = setUp();
      const loan = await pool.connect();
      await loan.close();
      expect(() => use(loan)).toThrow(ResourceClosedError);
      expect(loan.isValid).toBe(false);
    });

    it('sends nothing for a connection that comes back clean', async () => {
      const { driver, pool } = setUp();
      await (await pool.connect()).close();
      expect(statementsOf(driver.sessions[0]!)).toEqual([]);
    });

    it('PO-06 never lends a session in which a transaction was left open', async () => {
      const { pool } = setUp();
      const first = await pool.connect();
      await begin(first);
      await first.close();
      expect((await pool.connect()).session.status).toBe('idle');
    });

    it("commits what was left open with poolResetOnReturn: 'commit'", async () => {
      const { driver, pool } = setUp({ poolResetOnReturn: 'commit' });
      const loan = await pool.connect();
      await begin(loan);
      await loan.close();
      expect(statementsOf(driver.sessions[0]!)).toEqual(['BEGIN', 'COMMIT']);
    });

    it('drops what was left open with poolResetOnReturn: null', async () => {
      const { driver, pool } = setUp({ poolResetOnReturn: null });
      const loan = await pool.connect();
      await begin(loan);
      await loan.close();
      expect([statementsOf(driver.sessions[0]!), driver.live]).toEqual([['BEGIN'], 0]);
    });

    it('PO-42 ends an invalidated session at once and lends another', async () => {
      const { driver, pool } = setUp();
      const loan = await pool.connect();
      loan.invalidate(new OperationalError('broken'));
      expect([driver.live, loan.isValid, pool.checkedOut()]).toEqual([0, false, 0]);
      expect((await pool.connect()).session).toBe(driver.sessions[1]);
    });

    it('says in the refusal why a connection was invalidated', async () => {
      const { pool } = setUp();
      const loan = await pool.connect();
      const cause = new OperationalError('broken');
      loan.invalidate(cause);
      expect(() => loan.session).toThrow(expect.objectContaining({ name: 'ResourceClosedError', cause }));
      await loan.close();
    });

    it('PO-36 lets a softly invalidated connection work on and replaces it afterwards', async () => {
      const { driver, pool } = setUp();
      const loan = await pool.connect();
      loan.invalidate(undefined, true);
      expect([loan.isValid, loan.session]).toEqual([true, driver.sessions[0]]);
      await loan.close();
      expect((await pool.connect()).session).toBe(driver.sessions[1]);
      await settle();
      expect(driver.sessions[0]?.isOpen).toBe(false);
    });

    it('PO-41 gives away a detached session, which its close really closes', async () => {
      const { driver, pool } = setUp();
      const detached = await pool.connect();
      detached.detach();
      const other = await pool.connect();
      expect(other.session).not.toBe(detached.session);
      await detached.close();
      expect(driver.sessions.map((session) => session.isOpen)).toEqual([false, true]);
    });

    it('invalidateAll() ends what is on loan when it comes back', async () => {
      const { driver, pool } = setUp();
      const loan = await pool.connect();
      pool.invalidateAll();
      const during = loan.isValid;
      await loan.close();
      expect([during, driver.live]).toEqual([true, 0]);
      expect((await pool.connect()).session).toBe(driver.sessions[1]);
    });

    it('invalidateAll(witness) counts the errors of one outage once', async () => {
      const { driver, pool } = setUp();
      const loan = await pool.connect();
      pool.invalidateAll(loan);
      await loan.close();
      const next = await pool.connect();
      pool.invalidateAll(loan);
      await next.close();
      await (await pool.connect()).close();
      expect(driver.attempts).toBe(keeps ? 2 : 3);
    });

    it('throws what the driver failed with, and works when the server is back', async () => {
      const { driver, pool } = setUp();
      driver.failure = unreachable();
      await expect(pool.connect()).rejects.toBe(driver.failure);
      await expect(pool.connect()).rejects.toBe(driver.failure);
      driver.failure = undefined;
      expect((await pool.connect()).isValid).toBe(true);
      expect([pool.checkedOut(), pool.waiting()]).toEqual([1, 0]);
    });

    it('RC-32 takes back a lost session quietly and lends another', async () => {
      const { driver, pool } = setUp();
      const loan = await pool.connect();
      await begin(loan);
      sessionOf(loan).lose();
      await loan.close();
      expect(pool.checkedOut()).toBe(0);
      expect((await pool.connect()).session).toBe(driver.sessions[1]);
    });

    it('closes on dispose() what is idle, later what comes back, and lends no more', async () => {
      const { driver, pool } = setUp();
      const loan = await pool.connect();
      await pool.dispose();
      expect(loan.isValid).toBe(true);
      await loan.close();
      expect([driver.live, pool.tryConnect()]).toEqual([0, undefined]);
      await expect(pool.connect()).rejects.toBeInstanceOf(ResourceClosedError);
    });

    it('refuses on dispose() who waits for an opening, and closes what is opened late', async () => {
      const { driver, pool } = setUp();
      driver.connects.shut();
      const waiting = pool.connect();
      await pool.dispose();
      await expect(waiting).rejects.toBeInstanceOf(ResourceClosedError);
      driver.connects.open();
      await settle();
      expect([driver.sessions.length, driver.live]).toEqual([1, 0]);
    });

    it('opens nothing for a signal that is aborted already', async () => {
      const { driver, pool } = setUp();
      const reason = new OperationalError('no longer wanted');
      await expect(pool.connect({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      expect(driver.attempts).toBe(0);
    });

    it('ends the wait when the signal is aborted, and loses no session', async () => {
      const { driver, pool } = setUp();
      driver.connects.shut();
      const controller = new AbortController();
      const waiting = pool.connect({ signal: controller.signal });
      controller.abort();
      await expect(waiting).rejects.toBe(controller.signal.reason);
      driver.connects.open();
      await settle();
      expect([pool.checkedOut(), pool.waiting(), driver.live]).toEqual([0, 0, keeps ? 1 : 0]);
    });

    it('ends the wait for an opening after the given timeout', async () => {
      const { driver, pool } = setUp();
      driver.connects.shut();
      await expect(pool.connect({ timeout: 1 })).rejects.toBeInstanceOf(PoolTimeoutError);
      expect(pool.waiting()).toBe(0);
    });

    it('PO-05 recreates itself with its class and settings', () => {
      const { pool } = setUp({
        poolSize: 2,
        poolUseLifo: true,
        poolPrePing: true,
        poolRecycle: 7,
        poolTimeout: 9,
      });
      const twin = pool.recreate();
      expect(twin).not.toBe(pool);
      expect([twin.constructor, twin.options]).toEqual([poolClass, pool.options]);
    });

    it('tells its name and figures in its status', async () => {
      const { pool } = setUp();
      await pool.connect();
      expect(pool.status()).toMatch(new RegExp(`^${poolClass.name}: size \\d, .*checked out 1`));
    });

    it('opens sessions outside the async context of the caller', async () => {
      const { driver, pool } = setUp();
      const storage = new AsyncLocalStorage<string>();
      let seen: string | undefined = 'nobody asked';
      driver.onConnect = () => (seen = storage.getStore());
      await storage.run('a request', () => pool.connect());
      expect(seen).toBeUndefined();
    });

    it('is closed at the end of an await using block', async () => {
      const { pool } = setUp();
      {
        await using loan = await pool.connect();
        expect(loan.isValid).toBe(true);
      }
      expect(pool.checkedOut()).toBe(0);
    });

    it.each([false, true])(
      'keeps its promises in 200 random interleavings (poolPrePing: %s)',
      async (poolPrePing) => {
        for (let seed = 1; seed <= 200; seed += 1) {
          const { driver, pool } = setUp({ poolSize: 2, maxOverflow: 1, poolPrePing, poolTimeout: 10_000 });
          await new Scramble(driver, pool, seed, { shares, limit }).run(callers);
          expect({ seed, out: pool.checkedOut(), waiting: pool.waiting() }).toEqual({
            seed,
            out: 0,
            waiting: 0,
          });
          driver.failure = undefined;
          await (await pool.connect()).close();
          await pool.dispose();
          expect({ seed, live: driver.live }).toEqual({ seed, live: 0 });
        }
      },
    );
  },
);

/** Callers who do what callers do, in an order that the seed decides. */
class Scramble {
  readonly #driver: FakeDriver;
  readonly #pool: Pool;
  readonly #random: (limit: number) => number;
  readonly #rules: { readonly shares: boolean; readonly limit: number };
  readonly #borrowed = new Set<FakeSession>();
  readonly #detached = new Set<FakeSession>();
  readonly #violations: string[] = [];

  constructor(driver: FakeDriver, pool: Pool, seed: number, rules: { shares: boolean; limit: number }) {
    this.#driver = driver;
    this.#pool = pool;
    this.#random = randomOf(seed);
    this.#rules = rules;
    driver.onConnect = () => {
      const outside = [...this.#detached].filter((session) => session.isOpen).length;
      if (driver.live - outside > rules.limit) this.#violations.push('more sessions than the limit');
    };
  }

  /** What was seen that must never be. */
  async run(callers: number): Promise<readonly string[]> {
    await Promise.all(Array.from({ length: callers }, () => this.#call()));
    await settle();
    return this.#violations;
  }

  async #call(): Promise<void> {
    for (let round = 0; round < 6; round += 1) {
      await this.#pause();
      this.#driver.failure = this.#random(8) === 0 ? unreachable() : undefined;
      const controller = new AbortController();
      if (this.#random(6) === 0) void this.#pause().then(() => controller.abort());
      const loan = await this.#pool.connect({ signal: controller.signal }).catch(() => undefined);
      if (loan !== undefined) await this.#use(loan);
    }
  }

  async #use(loan: PooledConnection): Promise<void> {
    const session = sessionOf(loan);
    if (!this.#rules.shares) {
      if (this.#borrowed.has(session)) this.#violations.push('lent twice at once');
      if (!session.isOpen || session.status !== 'idle' || !session.isQuiet)
        this.#violations.push('lent unclean');
    }
    this.#borrowed.add(session);
    await this.#pause();
    await this.#misuse(loan, session);
    this.#borrowed.delete(session);
    await loan.close();
  }

  async #misuse(loan: PooledConnection, session: FakeSession): Promise<void> {
    switch (this.#random(9)) {
      case 0:
        loan.invalidate();
        break;
      case 1:
        loan.invalidate(undefined, true);
        break;
      case 2:
        this.#detached.add(session);
        loan.detach();
        break;
      case 3:
        session.lose();
        break;
      case 4:
        this.#pool.invalidateAll(loan);
        break;
      case 5:
        session.failures.set('ROLLBACK', unreachable());
        session.status = 'failed';
        break;
      default:
        await begin(loan).catch(() => undefined);
    }
    await this.#pause();
  }

  async #pause(): Promise<void> {
    for (let turns = this.#random(5); turns > 0; turns -= 1) await Promise.resolve();
    if (this.#random(4) === 0) await settle();
  }
}
