import { CONNECTIONS } from '../peer-contenders.js';
import { PythonProgram } from '../python.js';
import type { Contender } from '../workload.js';
import type { Capability } from './index.js';

/** SQLAlchemy over asyncpg. A process of its own does the whole round, and checks its sums. */
export function sqlalchemy(job: Capability, callers = 1): Contender {
  return {
    name: 'SQLAlchemy + asyncpg',
    async open({ url, size: { operations, rows = 0 } }) {
      const own = new URL(url);
      own.protocol = 'postgresql+asyncpg:';
      const order = { url: own.href, connections: CONNECTIONS, job, callers, operations, rows };
      const program = await PythonProgram.start('sqlalchemy_peer.py', order);
      return { run: () => program.tell('round'), close: () => program.close() };
    },
  };
}
