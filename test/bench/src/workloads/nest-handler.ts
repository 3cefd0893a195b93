import type { Workload } from '../workload.js';
import { serving, SINGLETON } from './serving.js';

const handWritten = serving('pg.Pool', async () => {
  const { HandWrittenModule } = await import('../nest/hand-written.module.js');
  return (settings) => HandWrittenModule.of(settings);
});

const typeorm = serving('TypeORM', async () => {
  const { TypeormModule } = await import('../nest/typeorm.module.js');
  return (settings) => TypeormModule.of(settings);
});

export const nestHandler: Workload = {
  name: 'nest-handler',
  title: 'NestJS handler with one query, 64 clients',
  contenders: [handWritten, SINGLETON, typeorm],
  base: handWritten.name,
  goals: [
    { of: SINGLETON.name, atMost: 1 },
    { of: typeorm.name, over: SINGLETON.name, atLeast: 2 },
  ],
  full: { operations: 6_400 },
  smoke: { operations: 128 },
};
