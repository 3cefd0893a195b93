import { describe, expect, it } from 'vitest';
import { Mutex } from '../../../lib/engine/util/mutex.js';

async function settled(promise: Promise<unknown>): Promise<boolean> {
  let isSettled = false;
  void promise.then(() => {
    isSettled = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  return isSettled;
}

describe('Mutex', () => {
  it('is taken by one at a time', async () => {
    const mutex = new Mutex();
    expect(mutex.tryAcquire()).toBe(true);
    expect(mutex.tryAcquire()).toBe(false);
    const second = mutex.acquire();
    expect(await settled(second)).toBe(false);
    mutex.release();
    await second;
    expect(mutex.isHeld).toBe(true);
  });

  it('is handed on in the order in which its waiters came, and to nobody who comes between', async () => {
    const mutex = new Mutex();
    await mutex.acquire();
    const order: number[] = [];
    const waiters = [1, 2, 3].map((number) => mutex.acquire().then(() => order.push(number)));
    for (let left = waiters.length; left > 0; left -= 1) {
      mutex.release();
      expect(mutex.tryAcquire()).toBe(false);
    }
    await Promise.all(waiters);
    expect(order).toEqual([1, 2, 3]);
    mutex.release();
    expect(mutex.isHeld).toBe(false);
  });

  it('an aborted wait rejects with the reason and takes no place in the queue', async () => {
    const mutex = new Mutex();
    await mutex.acquire();
    const controller = new AbortController();
    const aborted = mutex.acquire({ signal: controller.signal });
    const behind = mutex.acquire();
    const reason = new Error('too long');
    controller.abort(reason);
    await expect(aborted).rejects.toBe(reason);
    mutex.release();
    await behind;
  });

  it('a signal that was aborted before the wait refuses it', async () => {
    const mutex = new Mutex();
    await mutex.acquire();
    const reason = new Error('before');
    await expect(mutex.acquire({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it('an abort after the lock was handed over changes nothing', async () => {
    const mutex = new Mutex();
    await mutex.acquire();
    const controller = new AbortController();
    const next = mutex.acquire({ signal: controller.signal });
    mutex.release();
    controller.abort(new Error('too late'));
    await next;
    expect(mutex.isHeld).toBe(true);
  });
});
