import { BenchmarkError } from '../benchmark-error.js';
import type { Contender, Workload } from '../workload.js';

const BODY = '{"pong":true}';

function asking(name: string, isBesideDatabase: boolean): Contender {
  return {
    name,
    async open({ url, size }) {
      const { IdleRouteModule, openIdleRoute } = await import('../nest/idle-route.module.js');
      const module = isBesideDatabase ? IdleRouteModule.besideDatabase(url) : IdleRouteModule.alone();
      const { ask, close } = await openIdleRoute(module);
      return {
        async run() {
          for (let left = size.operations; left > 0; left -= 1) {
            const body = await ask();
            if (body !== BODY) throw new BenchmarkError(`the route answered ${body}`);
          }
        },
        close,
      };
    },
  };
}

const alone = asking('NestJS alone', false);
const ours = asking('nest-async-engine', true);

export const nestIdleRoute: Workload = {
  name: 'nest-idle-route',
  title: 'A NestJS route that never touches the database',
  contenders: [alone, ours],
  base: alone.name,
  goals: [{ of: ours.name, atMost: 1.1 }],
  full: { operations: 10_000 },
  smoke: { operations: 100 },
};
