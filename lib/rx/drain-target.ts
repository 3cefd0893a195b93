/** A response, or any other writable stream, that says when it can take more: a Node `Writable` is one. */
export interface DrainTarget {
  /** True: nothing more must be written before its event `drain`. */
  readonly writableNeedDrain: boolean;
  readonly destroyed?: boolean | undefined;
  /** Listens for `drain`, `close` and `error`. */
  once(event: string, listener: () => void): unknown;
  /** Takes such a listener away; without it, each stays until its event. */
  off?(event: string, listener: () => void): unknown;
}

/** What a wait for a stream ended with. `gone`: it was closed or failed and will take no more. */
type Drain = 'drained' | 'gone' | 'given-up';

/** Waits until `pace` takes more, is gone, or `giveUp` is aborted; its listeners are taken away. */
export function drainOf(pace: DrainTarget, giveUp: AbortSignal): Promise<Drain> {
  return new Promise((resolve) => {
    const settle = (drain: Drain): void => {
      pace.off?.('drain', onDrain);
      pace.off?.('close', onGone);
      pace.off?.('error', onGone);
      giveUp.removeEventListener('abort', onGivenUp);
      resolve(drain);
    };
    const onDrain = (): void => settle('drained');
    const onGone = (): void => settle('gone');
    const onGivenUp = (): void => settle('given-up');
    pace.once('drain', onDrain);
    pace.once('close', onGone);
    pace.once('error', onGone);
    giveUp.addEventListener('abort', onGivenUp, { once: true });
  });
}
