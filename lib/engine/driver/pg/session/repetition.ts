import { staleness } from './pg-error.js';
import type { PgTask } from './pg-task.js';
import { sqlOf } from './pg-step.js';
import type { PreparedStatements } from '../prepared/prepared-statements.js';

/** Parsed anew, and where that was of no use, without a name. */
const MOST_REPETITIONS = 2;

/**
 * True: the task's failure may come from an outdated parse, and another run may succeed. What was parsed is
 * forgotten by all sessions.
 */
export function isRepeatable(task: PgTask, prepared: PreparedStatements): boolean {
  const { batch } = task;
  const stale = staleness(batch.failure);
  if (stale === 'none' || task.repetitions >= MOST_REPETITIONS) return false;
  if (stale === 'name') {
    prepared.turnOff();
    return true;
  }
  const { age } = batch;
  if (age === 'new') return refusesName(task, stale, prepared);
  const steps = batch.steps.filter(({ isControl }) => !isControl);
  for (const text of new Set(steps.flatMap((step) => [step.text, sqlOf(step)]))) prepared.distrust(text);
  return task.repetitions === 0 && age === 'repeatable';
}

/** A fresh parse with the plan of an old one: a pooler between us and the server keeps it by its text. */
function refusesName(task: PgTask, stale: 'doubtful' | 'plan', prepared: PreparedStatements): boolean {
  const { current } = task.batch;
  if (stale !== 'plan' || current === undefined || !current.prepare) return false;
  prepared.refuseName(sqlOf(current));
  return true;
}
