import type { Channel } from 'node:diagnostics_channel';
import { ChannelGroup } from './channels.js';
import { expectArgument } from './argument.js';
import { describeValue } from './describe-value.js';
import { recordRule } from './option-rule.js';
import { ArgumentError, InvalidRequestError } from '../errors/errors.js';
import { types } from '../errors/node-modules.js';

/** Names of events, each with the type of its listeners. */
type EventTable<Events> = { readonly [Name in keyof Events]: (event: never) => unknown };

/** What a listener of the event `Name` gets. */
export type EventOf<Events extends EventTable<Events>, Name extends keyof Events> = Parameters<
  Events[Name]
>[0];

/** What the listeners of an event may give back. */
export type AnswerOf<Events extends EventTable<Events>, Name extends keyof Events> = Exclude<
  Awaited<ReturnType<Events[Name]>>,
  undefined | void
>;

/** `sync`: a listener that is async is refused. `awaited`: what a listener returns is awaited. */
export type EventTiming = 'sync' | 'awaited';

/** The events that a hub has. */
type EventTimings<Events> = Readonly<Partial<Record<keyof Events, EventTiming>>>;

/** Counts what observes a family of hubs: its listeners, and logs that are switched on. */
export interface ListenerTally {
  count: number;
}

/** How a listener is added. */
export interface ListenerOptions {
  /** True: it is called before the listeners that were added to the same object earlier. */
  readonly prepend?: boolean | undefined;
}

interface Entry {
  readonly listener: (event: never) => unknown;
  readonly isOnce: boolean;
}

const NO_ENTRIES: readonly Entry[] = [];

/**
 * The channels `nest-async-engine:<name>` of a table of events, and those of the operations that belong to
 * them. One for all hubs of the process, as channels are.
 */
export class EventChannels<Events> {
  readonly timings: EventTimings<Events>;
  readonly group: ChannelGroup;
  readonly #channels: ReadonlyMap<PropertyKey, Channel>;
  /** Those of the events alone. */
  readonly #plain = new ChannelGroup();

  constructor(timings: EventTimings<Events>, group: ChannelGroup) {
    this.timings = timings;
    this.group = group;
    const names = Object.keys(timings);
    for (const name of names) group.channel(`nest-async-engine:${name}`);
    this.#channels = new Map(names.map((name) => [name, this.#plain.channel(`nest-async-engine:${name}`)]));
  }

  get hasAnySubscribers(): boolean {
    return this.#plain.active > 0;
  }

  hasSubscribers(name: PropertyKey): boolean {
    return this.hasAnySubscribers && this.#channels.get(name)?.hasSubscribers === true;
  }

  /** What a subscriber throws, Node reports. */
  publish(name: PropertyKey, event: object): void {
    if (this.hasAnySubscribers) this.#channels.get(name)?.publish(event);
  }
}

/**
 * The listeners of one object. Those of its parent are called after its own. Each event also goes, once, to
 * the subscribers of the diagnostics channel `nest-async-engine:<name>`.
 */
export class EventHub<Events extends EventTable<Events>> {
  /** Shared with its children. */
  readonly tally: ListenerTally;
  readonly #timings: EventTimings<Events>;
  readonly #parent: EventHub<Events> | undefined;
  readonly #channels: EventChannels<Events>;
  readonly #entries = new Map<keyof Events, readonly Entry[]>();

  constructor(channels: EventChannels<Events>, timings = channels.timings, parent?: EventHub<Events>) {
    this.#timings = timings;
    this.#parent = parent;
    this.tally = parent === undefined ? { count: 0 } : parent.tally;
    this.#channels = channels;
  }

  /** A hub whose events this one's listeners hear too; with `timings`, for these events alone. */
  child(timings: EventTimings<Events> = this.#timings): EventHub<Events> {
    return new EventHub(this.#channels, timings, this);
  }

  /** True while a listener, a log or a subscriber of a channel may hear an event. */
  get isObserved(): boolean {
    return this.tally.count > 0 || this.#channels.group.active > 0;
  }

  /** False while all that observes are tracing channels: then no event has to be emitted. */
  get hasListeners(): boolean {
    return this.tally.count > 0 || this.#channels.hasAnySubscribers;
  }

  /** True: a listener or a subscriber of a channel hears of this event. */
  hears(name: keyof Events): boolean {
    if (this.#entriesOf(name).length > 0 || this.#channels.hasSubscribers(name)) return true;
    return this.#parent !== undefined && this.#parent.hears(name);
  }

  /** True: this hub has such an event. */
  has(name: PropertyKey): boolean {
    // Anything else would be converted to a name, or fail to be.
    return typeof name === 'string' && Object.hasOwn(this.#timings, name);
  }

  /** Adds a listener; one that is there already stays where it is. */
  on<Name extends keyof Events>(
    name: Name,
    listener: Events[Name],
    options: ListenerOptions & { readonly once?: boolean } = {},
  ): void {
    this.#expectKnown(name);
    expectArgument(`on('${String(name)}')`, recordRule, options);
    const { prepend = false, once: isOnce = false } = options;
    if (typeof listener !== 'function') {
      throw new ArgumentError(
        `the listener of '${String(name)}' must be a function; got ${describeValue(listener)}.`,
      );
    }
    if (this.#timings[name] === 'sync' && types.isAsyncFunction(listener)) {
      throw new ArgumentError(
        `the event '${String(name)}' takes no async listener: nothing waits for it. Give a plain function.`,
      );
    }
    const entries = this.#entriesOf(name);
    if (entries.some((entry) => entry.listener === listener)) return;
    const entry = { listener, isOnce };
    this.#set(name, prepend ? [entry, ...entries] : [...entries, entry]);
  }

  /**
   * Takes a listener away, also one that was added by `once`. Throws {@link InvalidRequestError} for an
   * unknown one.
   */
  off<Name extends keyof Events>(name: Name, listener: Events[Name]): void {
    this.#expectKnown(name);
    const entries = this.#entriesOf(name);
    const left = entries.filter((entry) => entry.listener !== listener);
    if (left.length === entries.length) {
      throw new InvalidRequestError(
        `this listener is not registered for '${String(name)}' on this object. Remove it from the object it was added to.`,
      );
    }
    this.#set(name, left);
  }

  /** Takes all listeners of this object away. */
  clear(): void {
    for (const name of this.#entries.keys()) this.#set(name, []);
  }

  /**
   * Calls the listeners of a synchronous event, one after the other; an error of one ends it. What they give
   * back goes to
   * `take`, and each listener sees what `take` has made of the answers before it.
   */
  emit<Name extends keyof Events>(
    name: Name,
    event: EventOf<Events, Name>,
    take?: (answer: AnswerOf<Events, Name>) => void,
  ): void {
    this.#channels.publish(name, event);
    this.#callAll(name, event, take);
  }

  #callAll<Name extends keyof Events>(
    name: Name,
    event: EventOf<Events, Name>,
    take: ((answer: AnswerOf<Events, Name>) => void) | undefined,
  ): void {
    for (const entry of this.#entriesOf(name)) {
      const answer = this.#call(name, entry, event);
      if (types.isPromise(answer)) throw refusedPromise(name, answer);
      if (answer !== undefined && answer !== null) take?.(answer as AnswerOf<Events, Name>);
    }
    if (this.#parent !== undefined) this.#parent.#callAll(name, event, take);
  }

  /**
   * Calls the listeners of an awaited event, each after the one before it has settled. What they give back
   * goes to `take`.
   */
  async emitAwaited<Name extends keyof Events>(
    name: Name,
    event: EventOf<Events, Name>,
    take?: (answer: AnswerOf<Events, Name>) => void,
  ): Promise<void> {
    this.#channels.publish(name, event);
    await this.#callAllAwaited(name, event, take);
  }

  async #callAllAwaited<Name extends keyof Events>(
    name: Name,
    event: EventOf<Events, Name>,
    take: ((answer: AnswerOf<Events, Name>) => void) | undefined,
  ): Promise<void> {
    for (const entry of this.#entriesOf(name)) {
      const answer = await this.#call(name, entry, event);
      if (answer !== undefined && answer !== null) take?.(answer as AnswerOf<Events, Name>);
    }
    if (this.#parent !== undefined) await this.#parent.#callAllAwaited(name, event, take);
  }

  #call<Name extends keyof Events>(name: Name, entry: Entry, event: EventOf<Events, Name>): unknown {
    if (entry.isOnce)
      this.#set(
        name,
        this.#entriesOf(name).filter((other) => other !== entry),
      );
    return entry.listener(event);
  }

  #entriesOf(name: keyof Events): readonly Entry[] {
    return this.#entries.get(name) ?? NO_ENTRIES;
  }

  // Replaced, never changed: an emission that is under way goes on with the listeners that it began with.
  #set(name: keyof Events, entries: readonly Entry[]): void {
    this.tally.count += entries.length - this.#entriesOf(name).length;
    this.#entries.set(name, entries);
  }

  #expectKnown(name: keyof Events): void {
    if (this.has(name)) return;
    throw new InvalidRequestError(
      `there is no event ${describeValue(name)} here. The events are ${Object.keys(this.#timings).join(', ')}.`,
    );
  }
}

function refusedPromise(name: PropertyKey, promise: Promise<unknown>): InvalidRequestError {
  // Its failure would otherwise be an unhandled rejection.
  promise.catch(() => undefined);
  return new InvalidRequestError(
    `a listener of '${String(name)}' returned a promise, and nothing waits for it. Give a function that returns a value.`,
  );
}
