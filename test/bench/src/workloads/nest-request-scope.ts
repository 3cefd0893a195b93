import { GOALS } from '../goals.js';
import type { Workload } from '../workload.js';
import { serving, SINGLETON } from './serving.js';

const requestScoped = serving('AsyncConnection, autocommit', async () => {
  const { RequestConnectionModule } = await import('../nest/request-connection.module.js');
  return (settings) => RequestConnectionModule.autocommit(settings);
});

const unitOfWork = serving('AsyncConnection, a transaction', async () => {
  const { RequestConnectionModule } = await import('../nest/request-connection.module.js');
  return (settings) => RequestConnectionModule.unitOfWork(settings);
});

const handle = serving('@InjectScopedConnection(), autocommit', async () => {
  const { RequestConnectionModule } = await import('../nest/request-connection.module.js');
  return (settings) => RequestConnectionModule.handleAutocommit(settings);
});

const handleUnitOfWork = serving('@InjectScopedConnection(), a transaction', async () => {
  const { RequestConnectionModule } = await import('../nest/request-connection.module.js');
  return (settings) => RequestConnectionModule.handleUnitOfWork(settings);
});

const besideNothing = serving('the engine, beside a provider of each request', async () => {
  const { RequestProviderModule } = await import('../nest/request-provider.module.js');
  return (settings) => RequestProviderModule.engineWithNothing(settings);
});

export const nestRequestScope: Workload = {
  name: 'nest-request-scope',
  title: 'The same through the connection of the request',
  contenders: [SINGLETON, handle, handleUnitOfWork, requestScoped, unitOfWork, besideNothing],
  base: SINGLETON.name,
  goals: GOALS['nest-request-scope'],
  full: { operations: 3_200, warmUp: 16_000 },
  smoke: { operations: 128 },
};
