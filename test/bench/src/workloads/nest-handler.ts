import { GOALS } from '../goals.js';
import type { Workload } from '../workload.js';
import { serving, SINGLETON } from './serving.js';

const handWritten = serving('pg.Pool', async () => {
  const { HandWrittenModule } = await import('../nest/hand-written.module.js');
  return (settings) => HandWrittenModule.of(settings);
});

const alone = serving('nest-async-engine, multiplex: false', async () => {
  const { SingletonModule } = await import('../nest/singleton.module.js');
  return (settings) => SingletonModule.of(settings, false);
});

const typeorm = serving('TypeORM', async () => {
  const { TypeormModule } = await import('../nest/typeorm.module.js');
  return (settings) => TypeormModule.of(settings);
});

export const nestHandler: Workload = {
  name: 'nest-handler',
  title: 'NestJS handler with one query, 64 clients',
  contenders: [handWritten, SINGLETON, alone, typeorm],
  base: handWritten.name,
  goals: GOALS['nest-handler'],
  full: { operations: 6_400, warmUp: 25_600 },
  smoke: { operations: 128 },
};
