import type { Command, DriverConnection } from '../../engine/index.js';
import type { CommitEffects } from './commit-effects.js';
import { CHECK_CONSTRAINTS, DEFER_CONSTRAINTS } from './deferred-constraints.js';
import type { NestingLevel } from './nesting-level.js';
import { savedSettings } from './local-settings.js';
import { unprepared, type Piece } from './piece.js';

/** What of a transaction that is READ ONLY holds in a savepoint. */
export const READ_ONLY = unprepared('SET TRANSACTION READ ONLY');

interface GuardPlan {
  readonly session: DriverConnection;
  readonly level: NestingLevel;
  readonly effects: CommitEffects;
  readonly isReadOnly: boolean;
  /** The server has confirmed the savepoint. */
  acknowledged(): void;
}

/**
 * Runs a piece as if it committed itself: in a savepoint, so that its failure does not end the test's
 * transaction.
 */
export async function runGuarded<T>(plan: GuardPlan, piece: Piece<T>): Promise<T> {
  const leave = await plan.level.turns.take(piece.signal);
  try {
    await plan.level.prepare();
    return await runInSavepoint(plan, piece);
  } finally {
    leave();
  }
}

async function runInSavepoint<T>(plan: GuardPlan, piece: Piece<T>): Promise<T> {
  const { session, isReadOnly, level, effects } = plan;
  const savepoint = session.uniqueName('nae_test');
  const restore = await savedSettings(session, piece.control);
  const isIndependent = !level.isOutermost && !isReadOnly;
  const rowsBefore = isIndependent ? await effects.writtenRows() : undefined;
  let isSet = false;
  const acknowledged = (): void => {
    isSet = true;
    plan.acknowledged();
  };
  const opening = [
    { ...unprepared(`SAVEPOINT ${savepoint}`), acknowledged },
    ...(isReadOnly ? [READ_ONLY] : []),
    ...piece.control,
  ];
  try {
    const send = (commands: readonly Command[]): Promise<T> => piece.send(opening, commands);
    const result = await (isReadOnly ? send(piece.commands) : effects.run(piece.commands, send));
    if (isIndependent && (await effects.writtenRows()) !== rowsBefore) level.noteIndependent();
    if (!isReadOnly) await effects.commit();
    await release(session, savepoint, { isChecked: level.isOutermost && !isReadOnly, restore });
    return result;
  } catch (error) {
    if (isSet && session.isOpen && session.status === 'failed') {
      await undo(session, savepoint).catch(() => undefined);
      await effects.releaseLocks().catch(() => undefined);
    }
    throw error;
  }
}

/** Stores what was done in a savepoint, behind the check of constraints where it is due. */
export async function release(
  session: DriverConnection,
  savepoint: string,
  { isChecked, restore }: { readonly isChecked: boolean; readonly restore: Command | undefined },
): Promise<void> {
  await session.executeMany(
    [],
    [
      ...(isChecked ? [CHECK_CONSTRAINTS] : []),
      unprepared(`RELEASE SAVEPOINT ${savepoint}`),
      ...(isChecked ? [DEFER_CONSTRAINTS] : []),
      ...(restore === undefined ? [] : [restore]),
    ],
  );
}

/** Undoes a savepoint and forgets it. */
export async function undo(session: DriverConnection, savepoint: string): Promise<void> {
  const texts = [`ROLLBACK TO SAVEPOINT ${savepoint}`, `RELEASE SAVEPOINT ${savepoint}`];
  await session.executeMany([], texts.map(unprepared));
}
