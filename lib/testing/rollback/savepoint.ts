import type { Control, DriverConnection } from '../../engine/index.js';
import { CHECK_CONSTRAINTS, DEFER_CONSTRAINTS } from './deferred-constraints.js';
import type { Level } from './test-place.js';
import { savedSettings } from './local-settings.js';

const READ_ONLY: Control = { text: 'SET TRANSACTION READ ONLY', prepare: false };

export interface GuardPlan {
  readonly session: DriverConnection;
  readonly level: Level;
  /** Travels in front of the work, behind the savepoint. */
  readonly control: readonly Control[];
  readonly isReadOnly: boolean;
  readonly signal: AbortSignal | undefined;
  /** The server has confirmed the savepoint. */
  acknowledged(): void;
}

/**
 * Runs `work` as if it committed itself: in a savepoint, so that its failure does not end the test's
 * transaction.
 */
export async function runGuarded<T>(
  plan: GuardPlan,
  work: (control: readonly Control[]) => Promise<T>,
): Promise<T> {
  const leave = await plan.level.turns.take(plan.signal);
  try {
    await plan.level.prepare();
    return await runInSavepoint(plan, work);
  } finally {
    leave();
  }
}

async function runInSavepoint<T>(
  plan: GuardPlan,
  work: (control: readonly Control[]) => Promise<T>,
): Promise<T> {
  const { session, isReadOnly, level } = plan;
  const savepoint = session.uniqueName('nae_test');
  const restore = await savedSettings(session, plan.control);
  let isSet = false;
  const acknowledged = (): void => {
    isSet = true;
    plan.acknowledged();
  };
  const opening = [
    { text: `SAVEPOINT ${savepoint}`, prepare: false, acknowledged },
    ...(isReadOnly ? [READ_ONLY] : []),
    ...plan.control,
  ];
  try {
    const result = await work(opening);
    const isChecked = level.isOutermost && !isReadOnly;
    await session.executeMany(
      [],
      [
        ...(isChecked ? [CHECK_CONSTRAINTS] : []),
        { text: `RELEASE SAVEPOINT ${savepoint}`, prepare: false },
        ...(isChecked ? [DEFER_CONSTRAINTS] : []),
        ...(restore === undefined ? [] : [restore]),
      ],
    );
    return result;
  } catch (error) {
    if (isSet && session.isOpen && session.status === 'failed')
      await undo(session, savepoint).catch(() => undefined);
    throw error;
  }
}

/** Undoes a savepoint and forgets it. */
export async function undo(session: DriverConnection, savepoint: string): Promise<void> {
  await session.executeMany(
    [],
    [
      { text: `ROLLBACK TO SAVEPOINT ${savepoint}`, prepare: false },
      { text: `RELEASE SAVEPOINT ${savepoint}`, prepare: false },
    ],
  );
}
