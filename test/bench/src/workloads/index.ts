import type { Workload } from '../workload.js';
import { behindServer } from './behind-server.js';
import { besideNeighbors } from './beside.js';
import { coldStart, coldStartNest } from './cold-start.js';
import { csv } from './csv.js';
import { emptyTransactional } from './empty-transactional.js';
import { executemany } from './executemany.js';
import { listeners } from './listeners.js';
import { longRunOf } from './long-run.js';
import { memory } from './memory.js';
import { nestHandler } from './nest-handler.js';
import { nestIdleRoute } from './nest-idle-route.js';
import { nestRequestProvider } from './nest-request-provider.js';
import { nestRequestScope } from './nest-request-scope.js';
import { nestedLatency } from './nested-latency.js';
import { nested } from './nested.js';
import { openScopes } from './open-scopes.js';
import { opentelemetry } from './opentelemetry.js';
import { overload } from './overload.js';
import { pgbouncerSelect, pgbouncerTransaction } from './pgbouncer.js';
import { pointSelect64 } from './point-select-64.js';
import { pointSelect } from './point-select.js';
import { promises } from './promises.js';
import { roundTrips } from './round-trips.js';
import { stream } from './stream.js';
import { transaction32 } from './transaction-32.js';
import { transaction } from './transaction.js';
import { waiters } from './waiters.js';
import { wideRows } from './wide-rows.js';

/** In the order in which they run and are printed. */
export const WORKLOADS: readonly Workload[] = [
  pointSelect,
  pointSelect64,
  ...behindServer,
  pgbouncerSelect,
  wideRows,
  transaction,
  transaction32,
  pgbouncerTransaction,
  nested,
  nestedLatency,
  roundTrips,
  promises,
  executemany,
  stream,
  csv,
  ...besideNeighbors,
  overload,
  nestHandler,
  nestRequestScope,
  nestRequestProvider,
  nestIdleRoute,
  emptyTransactional,
  waiters,
  openScopes,
  listeners,
  opentelemetry,
  memory,
  coldStart,
  coldStartNest,
];

/** Every one that a contender may be asked for; `--long` says how long the last one takes. */
export const ALL_WORKLOADS: readonly Workload[] = [...WORKLOADS, longRunOf(1)];
