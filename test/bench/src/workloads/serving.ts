import type { DynamicModule } from '@nestjs/common';
import { CONNECTIONS } from '../peer-contenders.js';
import type { PeerSettings } from '../peers/index.js';
import type { Contender } from '../workload.js';

/** Keep-alive connections that ask at the same time. */
const CLIENTS = 64;

/** A Nest application in the contender's process, asked by another process. */
export function serving(
  name: string,
  loadModule: () => Promise<(settings: PeerSettings) => DynamicModule>,
): Contender {
  return {
    name,
    async open({ url, size }) {
      const [{ startApplication }, { Load }, moduleOf] = await Promise.all([
        import('../nest/application.js'),
        import('../nest/load.js'),
        loadModule(),
      ]);
      const { port, close } = await startApplication(moduleOf({ url, connections: CONNECTIONS }));
      const load = new Load();
      return {
        run: async () => void (await load.run({ port, clients: CLIENTS, requests: size.operations })),
        async close() {
          await load.close();
          await close();
        },
      };
    },
  };
}

export const SINGLETON = serving('nest-async-engine', async () => {
  const { SingletonModule } = await import('../nest/singleton.module.js');
  return (settings) => SingletonModule.of(settings);
});
