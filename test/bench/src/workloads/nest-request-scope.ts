import type { Workload } from '../workload.js';
import { serving, SINGLETON } from './serving.js';

const requestScoped = serving('AsyncConnection, autocommit', async () => {
  const { RequestScopedModule } = await import('../nest/request-scoped.module.js');
  return (settings) => RequestScopedModule.of(settings);
});

const unitOfWork = serving('AsyncConnection, a transaction', async () => {
  const { UnitOfWorkModule } = await import('../nest/unit-of-work.module.js');
  return (settings) => UnitOfWorkModule.of(settings);
});

export const nestRequestScope: Workload = {
  name: 'nest-request-scope',
  title: 'The same through the connection of the request',
  contenders: [SINGLETON, requestScoped, unitOfWork],
  base: SINGLETON.name,
  goals: [{ of: requestScoped.name, atMost: 1.2 }],
  full: { operations: 6_400 },
  smoke: { operations: 128 },
};
