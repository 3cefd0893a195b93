import { channel, tracingChannel, type Channel, type TracingChannel } from 'node:diagnostics_channel';

type ChangingMethod = 'subscribe' | 'unsubscribe' | 'bindStore' | 'unbindStore';

const CHANGING: readonly ChangingMethod[] = ['subscribe', 'unsubscribe', 'bindStore', 'unbindStore'];

type Methods = Partial<Record<ChangingMethod, (...args: never[]) => unknown>>;

/** The groups of a channel. */
class Following {
  readonly groups: ChannelGroup[] = [];
  /** What stood in front of its prototype's methods: those of another copy of this library. */
  readonly before: Methods = {};
  isActive = false;
}

const FOLLOWING = Symbol('following');

type FollowedChannel = Channel & { [FOLLOWING]?: Following };

// Node tells of no subscription. Each way to subscribe ends in a method of the channel, whose prototype
// Node replaces with the first subscriber: an own property is in front of both.
const COUNTING = Object.fromEntries(
  CHANGING.map((name) => [
    name,
    function (this: FollowedChannel, ...args: never[]): unknown {
      const method = this[FOLLOWING]?.before[name] ?? (Object.getPrototypeOf(this) as Methods)[name];
      const answer = method?.apply(this, args);
      count(this);
      return answer;
    },
  ]),
);

function count(followed: FollowedChannel): void {
  const following = followed[FOLLOWING];
  if (following === undefined || following.isActive === followed.hasSubscribers) return;
  following.isActive = followed.hasSubscribers;
  for (const group of following.groups) group.active += following.isActive ? 1 : -1;
}

function follow(followed: FollowedChannel): Following {
  const following = (followed[FOLLOWING] = new Following());
  for (const name of CHANGING) {
    if (Object.hasOwn(followed, name)) following.before[name] = followed[name];
  }
  Object.assign(followed, COUNTING);
  count(followed);
  return following;
}

/**
 * Channels of `node:diagnostics_channel`, with a count of those that have subscribers, so that a hot path
 * asks one number and not each of them.
 */
export class ChannelGroup {
  /** How many of them have subscribers. */
  active = 0;

  /** A channel of this name, the same for all of the process. */
  channel(name: string): Channel {
    const found = channel(name);
    this.#add(found);
    return found;
  }

  /** The five channels of an operation. */
  trace<Event extends TracedEvent>(name: string): Trace<Event> {
    const traced = tracingChannel<Event, Event>(name);
    const own = new ChannelGroup();
    for (const each of [traced.start, traced.end, traced.asyncStart, traced.asyncEnd, traced.error]) {
      this.#add(each);
      own.#add(each);
    }
    return new Trace(traced, own);
  }

  #add(added: FollowedChannel): void {
    const { groups, isActive } = added[FOLLOWING] ?? follow(added);
    groups.push(this);
    if (isActive) this.active += 1;
  }
}

/** What an operation has failed with; subscribers find it in the same object that they got at its start. */
export interface TracedEvent {
  error?: unknown;
}

/**
 * An operation on a TracingChannel: `start` and `end` around the call, `asyncStart` and `asyncEnd` when it is
 * over, `error` before these where it has failed. All have one object, from start to end.
 */
class Trace<Event extends TracedEvent> {
  readonly #channel: TracingChannel<Event, Event>;
  readonly #group: ChannelGroup;

  constructor(traced: TracingChannel<Event, Event>, group: ChannelGroup) {
    this.#channel = traced;
    this.#group = group;
  }

  /** True: a subscriber hears of at least one of the five. */
  get isObserved(): boolean {
    return this.#group.active > 0;
  }

  /** Runs the synchronous part of an operation, in the stores that subscribers have bound to its start. */
  begin<T>(event: Event, work: () => T): T {
    const { start, end } = this.#channel;
    if (!end.hasSubscribers) return start.hasSubscribers ? start.runStores(event, work) : work();
    return start.runStores(event, () => {
      try {
        return work();
      } finally {
        end.publish(event);
      }
    });
  }

  /** The operation is over; it has failed where the event has an error. */
  finish(event: Event): void {
    const { error, asyncStart, asyncEnd } = this.#channel;
    if (event.error !== undefined) error.publish(event);
    asyncStart.publish(event);
    asyncEnd.publish(event);
  }

  /** An operation that is a promise, from its call to its end. */
  async run<T>(event: Event, work: () => Promise<T>): Promise<T> {
    try {
      return await this.begin(event, work);
    } catch (error) {
      event.error = error;
      throw error;
    } finally {
      this.finish(event);
    }
  }
}
