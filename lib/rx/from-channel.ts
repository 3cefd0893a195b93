import { AsyncLocalStorage } from 'node:async_hooks';
import { defer, Observable, retry, throwError, timer } from 'rxjs';
import { type AsyncEngine, InvalidRequestError, type Notification } from '../engine/index.js';
import { expectArgument } from '../engine/util/argument.js';
import { functionRule } from '../engine/util/option-rule.js';
import { OptionTable } from '../engine/util/option-table.js';
import { engineRule } from './source-rules.js';
export type { Notification } from '../engine/index.js';

/** What `fromChannel()` tells besides the notifications. */
export interface ChannelOptions {
  /**
   * Called each time LISTEN is in effect, also after a reconnection: from here on no notification is missed,
   * so read what may have come before.
   */
  readonly onListen?: (() => void) | undefined;
}

const CHANNEL_OPTIONS = new OptionTable<ChannelOptions>('fromChannel', { onListen: functionRule }, 'refused');

const BASE_DELAY = 100;
const MAX_DELAY = 10_000;

/**
 * The notifications of a channel, as NOTIFY sends them.
 *
 * All subscriptions of an engine listen on one connection, which is taken out of the pool (so that no place
 * in it is lost) and closed behind the last of them. The channel is taken as it is written, upper case
 * included. When the connection is lost it reconnects, after 100 ms at most and then ever longer, up to 10 s;
 * **notifications sent meanwhile are lost**, as the server keeps none: read in `onListen` what they were
 * about.
 *
 * Fails when the first connection cannot be made, and when the engine is closed.
 *
 * @throws ArgumentError for a name that is empty or longer than 63 bytes, and for an engine with `pgbouncer`;
 * NotSupportedError for the driver pglite, whose one session it would keep.
 *
 * @example
 * ```ts
 * fromChannel(engine, 'orders').subscribe(({ payload }) => console.log(payload));
 * ```
 */
export function fromChannel(
  engine: AsyncEngine,
  channel: string,
  options: ChannelOptions = {},
): Observable<Notification> {
  expectArgument('fromChannel()', engineRule, engine);
  CHANNEL_OPTIONS.parse(options);
  engine.notifications.expectChannel(channel);
  return defer(() => {
    const inCaller = AsyncLocalStorage.snapshot();
    let failures: number | undefined;
    const onListen = (): void => {
      failures = 0;
      options.onListen?.();
    };
    const listening = new Observable<Notification>((subscriber) => {
      const stop = engine.notifications.listen(channel, {
        onListen: () => inCaller(onListen),
        onNotification: (notification) => inCaller(() => subscriber.next(notification)),
        onEnd: (error) => inCaller(() => subscriber.error(error)),
      });
      subscriber.add(stop);
    });
    return listening.pipe(
      retry({
        delay: (error: unknown) => {
          if (failures === undefined || error instanceof InvalidRequestError) return throwError(() => error);
          failures += 1;
          return timer(Math.random() * Math.min(MAX_DELAY, BASE_DELAY * 2 ** (failures - 1)));
        },
      }),
    );
  });
}
