import { GOALS } from '../goals.js';
import type { Workload } from '../workload.js';
import { pinging } from './pinging.js';

const nothing = pinging('a provider that does nothing', async (url) => {
  const { RequestProviderModule } = await import('../nest/request-provider.module.js');
  return RequestProviderModule.pingWithNothing(url);
});
const connection = pinging('AsyncConnection', async (url) => {
  const { RequestProviderModule } = await import('../nest/request-provider.module.js');
  return RequestProviderModule.pingWithConnection(url);
});

export const nestRequestProvider: Workload = {
  name: 'nest-request-provider',
  title: 'A provider of each request, without a query',
  contenders: [nothing, connection],
  base: nothing.name,
  goals: GOALS['nest-request-provider'],
  full: { operations: 5_000, warmUp: 20_000 },
  smoke: { operations: 100 },
};
