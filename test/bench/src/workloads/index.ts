import type { Workload } from '../workload.js';
import { emptyTransactional } from './empty-transactional.js';
import { executemany } from './executemany.js';
import { listeners } from './listeners.js';
import { nestHandler } from './nest-handler.js';
import { nestIdleRoute } from './nest-idle-route.js';
import { nestRequestScope } from './nest-request-scope.js';
import { nestedLatency } from './nested-latency.js';
import { nested } from './nested.js';
import { openScopes } from './open-scopes.js';
import { pointSelect64 } from './point-select-64.js';
import { pointSelect } from './point-select.js';
import { stream } from './stream.js';
import { transaction32 } from './transaction-32.js';
import { transaction } from './transaction.js';
import { waiters } from './waiters.js';
import { wideRows } from './wide-rows.js';

/** In the order in which they run and are printed. */
export const WORKLOADS: readonly Workload[] = [
  pointSelect,
  pointSelect64,
  wideRows,
  transaction,
  transaction32,
  nested,
  nestedLatency,
  executemany,
  stream,
  nestHandler,
  nestRequestScope,
  nestIdleRoute,
  emptyTransactional,
  waiters,
  openScopes,
  listeners,
];
