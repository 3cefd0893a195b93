import type { DynamicModule } from '@nestjs/common';
import type { AsyncEngineOptions } from 'nest-async-engine/engine';
import { counting } from '../counting.js';
import { GOALS } from '../goals.js';
import { loadPeer, OURS, type PartialPeer, type PeerName, type PeerSettings } from '../peers/index.js';
import { RoundTripProxy } from '../ways/round-trip-proxy.js';
import type { Contender, Workload } from '../workload.js';

/** From the first call of a fresh pool to its answer. */
function firstQueries(peer: PeerName): Contender {
  return counting(`${peer}, by itself`, async ({ url }) => {
    const open = await loadPeer(peer);
    const proxy = await RoundTripProxy.start(url);
    const count = async (): Promise<Record<string, number>> => {
      let first: PartialPeer = { close: async () => undefined };
      const begun = await proxy.count(async () => {
        first = await open({ url: proxy.url, connections: 1 });
        await first.selectById?.(7);
      });
      await first.visit?.(7);
      await first.nested?.(7, 8);
      const amounts = {
        [`${peer}: first query`]: begun,
        [`${peer}: transaction of 2 statements`]: await proxy.count(async () => await first.visit?.(7)),
        [`${peer}: transaction with 2 nested ones`]: await proxy.count(
          async () => await first.nested?.(7, 8),
        ),
      };
      await first.close();
      return amounts;
    };
    return { count, close: () => proxy.close() };
  });
}

const EVERYTHING: AsyncEngineOptions = {
  settings: { role: 'pg_read_all_data', search_path: 'public' },
  statementTimeout: 10_000,
  lockTimeout: 5_000,
  idleInTransactionTimeout: 20_000,
  applicationName: 'bench',
  types: { mood: 'text' },
};

const everythingSet = counting(`${OURS}, everything set`, async ({ url }) => {
  const [{ createAsyncEngine }, { selectAccount }] = await Promise.all([
    import('nest-async-engine/engine'),
    import('../peers/ours.js'),
  ]);
  const proxy = await RoundTripProxy.start(url);
  const count = async (): Promise<Record<string, number>> => {
    const engine = createAsyncEngine(proxy.url, { poolSize: 2, ...EVERYTHING });
    const select = (): Promise<unknown> => engine.execute(selectAccount, { id: 7 }).one();
    const first = await proxy.count(select);
    const held = await engine.connect();
    await held.execute(selectAccount, { id: 7 }).one();
    const second = await proxy.count(select);
    await held.close();
    await engine.aclose();
    return {
      [`${OURS}: first query, everything set`]: first,
      [`${OURS}: first query of the second session, everything set`]: second,
    };
  };
  return { count, close: () => proxy.close() };
});

/** One request to an application whose connection is open. */
function request(
  name: string,
  loadModule: () => Promise<(settings: PeerSettings) => DynamicModule>,
): Contender {
  return counting(name, async ({ url }) => {
    const [{ startApplication }, { HttpConnection }, moduleOf] = await Promise.all([
      import('../nest/application.js'),
      import('../nest/http-connection.js'),
      loadModule(),
    ]);
    const proxy = await RoundTripProxy.start(url);
    const application = await startApplication(moduleOf({ url: proxy.url, connections: 1 }));
    const client = await HttpConnection.open(application.port);
    const ask = (): Promise<string> => client.get('/accounts/7');
    await ask();
    return {
      count: async () => ({ [name]: await proxy.count(ask) }),
      async close() {
        client.close();
        await application.close();
        await proxy.close();
      },
    };
  });
}

const requests: readonly Contender[] = [
  request(`${OURS}: request, singleton`, async () => {
    const { SingletonModule } = await import('../nest/singleton.module.js');
    return (settings) => SingletonModule.of(settings);
  }),
  request(`${OURS}: request in a transaction, @InjectScopedConnection()`, async () => {
    const { RequestConnectionModule } = await import('../nest/request-connection.module.js');
    return (settings) => RequestConnectionModule.handleUnitOfWork(settings);
  }),
  request(`${OURS}: request in a transaction, AsyncConnection`, async () => {
    const { RequestConnectionModule } = await import('../nest/request-connection.module.js');
    return (settings) => RequestConnectionModule.unitOfWork(settings);
  }),
];

/** Over TCP and without a password; what a socket needs to connect is not counted. */
export const roundTrips: Workload = {
  name: 'round-trips',
  title: 'Round trips',
  contenders: [...(['pg', OURS, 'postgres.js'] as const).map(firstQueries), everythingSet, ...requests],
  base: 'pg',
  goals: GOALS['round-trips'],
  unit: 'round trips',
  full: { operations: 1, rounds: 1 },
  smoke: { operations: 1 },
};
