import type { Goal } from './workload.js';

const OURS = 'nest-async-engine';
const ALONE = 'nest-async-engine, multiplex: false';
const FLOOR = 'floor';

/** The figures to reach, by workload. Contenders by the names that tables print. */
export const GOALS = {
  'point-select': [
    { of: OURS, atMost: 0.8 },
    { of: OURS, over: FLOOR, cpuAtMost: 1.4 },
  ],
  'point-select-64': [
    { of: OURS, atMost: 0.35 },
    { of: 'postgres.js', over: OURS, atLeast: 2.2 },
    { of: 'pg, pipeline: true', over: OURS, atLeast: 1.6 },
    { of: OURS, over: FLOOR, cpuAtMost: 1.4 },
  ],
  'wide-rows': [
    { of: OURS, atMost: 0.45 },
    { of: OURS, over: FLOOR, cpuAtMost: 1.25 },
  ],
  transaction: [
    { of: OURS, atMost: 0.78 },
    { of: OURS, over: FLOOR, cpuAtMost: 1.5 },
  ],
  'transaction-32': [
    { of: OURS, atMost: 0.75 },
    { of: OURS, over: FLOOR, cpuAtMost: 1.5 },
  ],
  nested: [
    { of: OURS, atMost: 0.5 },
    { of: OURS, over: FLOOR, cpuAtMost: 1.5 },
  ],
  'nested-latency': [{ of: OURS, atMost: 0.39 }],
  promises: [
    { of: `${OURS}: transaction of 2 statements`, atMost: 14 },
    { of: `${OURS}: transaction with 2 nested ones`, atMost: 20 },
    { of: `${OURS}: connect(), select, close()`, atMost: 12 },
  ],
  'round-trips': [
    { of: `${OURS}: first query`, over: 'pg: first query', atMostMore: 1 },
    { of: `${OURS}: first query, everything set`, over: 'pg: first query', atMostMore: 1 },
    {
      of: `${OURS}: request in a transaction, @InjectScopedConnection()`,
      over: `${OURS}: request, singleton`,
      atMostMore: 2,
    },
  ],
  executemany: [{ of: OURS, atMost: 1.1 }],
  stream: [
    { of: OURS, atMost: 0.95 },
    { of: OURS, mebibytesAboveIdle: 64 },
  ],
  csv: [{ of: `${OURS}, format: 'csv'`, over: 'COPY by pg-copy-streams', cpuAtMost: 1.5 }],
  'behind-server': [{ of: OURS, atMost: 1 }],
  pgbouncer: [
    { of: OURS, over: 'pg.Pool, unnamed', cpuAtMost: 1.1 },
    { of: `${OURS}, pgbouncer: true`, over: 'pg.Pool, unnamed', cpuAtMost: 1.1 },
  ],
  'beside-buffered-rows': [{ of: OURS, atMost: 1.5 }],
  'beside-stream': [{ of: OURS, atMost: 1.3 }],
  'beside-executemany': [{ of: OURS, atMost: 1.5 }],
  overload: [
    { of: `${OURS} at 1.2: answers in time, % of the capacity`, atLeast: 90 },
    { of: `${OURS} at 1.2: p99 of the served, in targets`, atMost: 2 },
    { of: `${OURS} at 2: answers in time, % of the capacity`, atLeast: 90 },
    { of: `${OURS} at 2: p99 of the served, in targets`, atMost: 2 },
  ],
  'nest-handler': [
    { of: OURS, atMost: 1 },
    { of: 'TypeORM', over: OURS, atLeast: 2 },
    { of: ALONE, over: OURS, atLeast: 1.3 },
  ],
  'nest-request-scope': [{ of: '@InjectScopedConnection(), autocommit', atMost: 1.2 }],
  'nest-request-provider': [{ of: 'AsyncConnection', over: 'a provider that does nothing', cpuAtMost: 1.15 }],
  'nest-idle-route': [
    { of: OURS, atMost: 1.1 },
    { of: OURS, over: 'NestJS alone', cpuAtMost: 1.1 },
  ],
  'empty-transactional': [{ of: '@Transactional()', atMost: 1 }],
  waiters: [{ of: `${OURS}, 10,000 callers`, within: 0.15 }],
  'open-scopes': [{ of: `${OURS}, 10,000 open scopes`, within: 0.2 }],
  listeners: [{ of: `${OURS}, 10,000 listeners`, within: 0.2 }],
  memory: [
    { of: `${OURS}: connection`, atMost: 15 },
    { of: `${OURS}: transaction that waits`, atMost: 4 },
    { of: `${OURS}: one of 10,000 callers that wait`, atMost: 8 },
    { of: `${OURS}: open stream of wide rows`, atMost: 512 },
    { of: 'NestJS request in flight, with the module', over: 'NestJS request in flight', atMostMore: 3 },
  ],
  'cold-start': [{ of: `${OURS}/engine`, over: 'pg', cpuAtMost: 1.6 }],
  'cold-start-nest': [{ of: OURS, over: 'NestJS alone', cpuAtMost: 1.15 }],
  'long-run': [
    { of: 'p99 of the last part, of that of the first', atMost: 1.1 },
    { of: 'heap at the end, of that after the first part', atMost: 1.1 },
    { of: 'handles more than after the first part', atMost: 0 },
    { of: 'sessions of the server more than after the first part', atMost: 0 },
  ],
} as const satisfies Readonly<Record<string, readonly Goal[]>>;
