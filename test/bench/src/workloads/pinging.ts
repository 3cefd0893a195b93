import type { DynamicModule } from '@nestjs/common';
import { BenchmarkError } from '../benchmark-error.js';
import type { Contender } from '../workload.js';

const BODY = '{"pong":true}';

/** A Nest application in the contender's process, whose route `/ping` never sends anything to a database. */
export function pinging(name: string, loadModule: (url: string) => Promise<DynamicModule>): Contender {
  return {
    name,
    async open({ url, size }) {
      const { openInjected } = await import('../nest/injected.js');
      const { ask, close } = await openInjected(await loadModule(url));
      return {
        async run() {
          for (let left = size.operations; left > 0; left -= 1) {
            const body = await ask('/ping');
            if (body !== BODY) throw new BenchmarkError(`the route answered ${body}`);
          }
        },
        close,
      };
    },
  };
}
