import { GOALS } from '../goals.js';
import type { Workload } from '../workload.js';
import { pinging } from './pinging.js';

const alone = pinging('NestJS alone', async () => {
  const { IdleRouteModule } = await import('../nest/idle-route.module.js');
  return IdleRouteModule.alone();
});
const ours = pinging('nest-async-engine', async (url) => {
  const { IdleRouteModule } = await import('../nest/idle-route.module.js');
  return IdleRouteModule.besideDatabase(url);
});

export const nestIdleRoute: Workload = {
  name: 'nest-idle-route',
  title: 'A NestJS route that never touches the database',
  contenders: [alone, ours],
  base: alone.name,
  goals: GOALS['nest-idle-route'],
  processes: 3,
  full: { operations: 6_000, warmUp: 24_000 },
  smoke: { operations: 100 },
};
