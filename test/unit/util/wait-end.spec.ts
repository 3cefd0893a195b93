import { describe, expect, it } from 'vitest';
import { WaitEnd } from '../../../lib/engine/util/wait-end.js';

const reason = new Error('given up');

describe('WaitEnd', () => {
  it('tells each listener once, and none that has left', () => {
    const end = new WaitEnd();
    const heard: string[] = [];
    end.listen({ ended: () => heard.push('first') });
    const second = { ended: () => heard.push('second') };
    end.listen(second);
    end.ignore(second);

    end.abort(reason);
    end.abort(new Error('too late'));

    expect([heard, end.reason]).toEqual([['first'], reason]);
  });

  it.each(['before', 'after'])('has an AbortSignal that says the same, asked for %s the end', (order) => {
    const end = new WaitEnd();
    const early = order === 'before' ? end.signal : undefined;
    end.abort(reason);

    expect([early ?? end.signal, end.signal.aborted, end.signal.reason]).toEqual([end.signal, true, reason]);
  });

  it('follows other signals until the work has settled', async () => {
    const { signal, abort } = controlled();
    const end = new WaitEnd();

    await end.follow([undefined, signal], async () => undefined);
    abort(reason);

    expect(end.aborted).toBe(false);
  });

  it.each(['before', 'during'])('is aborted by a signal that it follows, %s the work', async (order) => {
    const { signal, abort } = controlled();
    const end = new WaitEnd();
    if (order === 'before') abort(reason);

    const seen = await end.follow([signal], async () => {
      abort(reason);
      return end.reason;
    });

    expect(seen).toBe(reason);
  });
});

function controlled(): { signal: AbortSignal; abort: (reason: unknown) => void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: (why) => controller.abort(why) };
}
