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

export const nestRequestScope: Workload = {
  name: 'nest-request-scope',
  title: 'The same through the connection of the request',
  contenders: [SINGLETON, handle, handleUnitOfWork, requestScoped, unitOfWork],
  base: SINGLETON.name,
  goals: [{ of: handle.name, atMost: 1.2 }],
  full: { operations: 6_400 },
  smoke: { operations: 128 },
};
