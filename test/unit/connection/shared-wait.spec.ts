import { describe, expect, it } from 'vitest';
import { SharedWait } from '../../../lib/engine/connection/shared-wait.js';
import type { WaitEnd } from '../../../lib/engine/util/wait-end.js';

const reason = new Error('given up');

describe('SharedWait', () => {
  it('ends the work when the last caller has left, and not before', async () => {
    const { signal: first, abort: leaveFirst } = controlled();
    const { signal: second, abort: leaveSecond } = controlled();
    const wait = new SharedWait(untilEnded);
    const both = [wait.join(first), wait.join(second)].map((joined) =>
      joined.catch((error: unknown) => error),
    );

    leaveFirst(reason);
    const isEndedByFirst = wait.isEnded;
    leaveSecond(reason);

    expect([isEndedByFirst, wait.isEnded, ...(await Promise.all(both))]).toEqual([
      false,
      true,
      reason,
      reason,
    ]);
  });

  it('goes on for a caller without a signal', async () => {
    const { signal, abort } = controlled();
    const wait = new SharedWait(untilEnded);
    const staying = wait.join();
    const leaving = wait.join(signal);

    abort(reason);
    await expect(leaving).rejects.toBe(reason);
    expect(wait.isEnded).toBe(false);

    wait.end(new Error('all of them'));
    await expect(staying).rejects.toThrow('all of them');
  });

  it('leaves no rejection unhandled where its only caller had left before', async () => {
    const { signal, abort } = controlled();
    abort(reason);

    await expect(new SharedWait(untilEnded).join(signal)).rejects.toBe(reason);
  });
});

function controlled(): { signal: AbortSignal; abort: (reason: unknown) => void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: (why) => controller.abort(why) };
}

function untilEnded(end: WaitEnd): Promise<void> {
  return new Promise((_, reject) => end.listen({ ended: reject }));
}
