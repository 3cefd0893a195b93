import { runAutocommitted } from './autocommit.js';
import type { AutocommitHost } from './autocommit.js';
import { Carrier } from './carrier.js';
import type { CommandResult, Control } from './driver/driver.js';
import type { Invocation } from './invocation.js';
import type { TextProfile } from './text-profile.js';
import { TextProfiles } from './text-profile.js';

/** Connections that are shared at a time. */
const MOST_CARRIERS = 2;
/** Statements in flight on a shared connection before another one is taken for the next. */
const COMFORTABLE = 16;
const MOST_TEXTS = 1_000;

/**
 * Runs statements outside of transactions. Those known to be quick and to do nothing but read share a few connections
 * when there are many at once; each other one has a connection to itself, and so has the first run of a text.
 */
export class Multiplexer {
  readonly #texts = new TextProfiles(MOST_TEXTS);
  readonly #carriers = new Set<Carrier>();

  run(host: AutocommitHost, invocation: Invocation, control: readonly Control[]): Promise<CommandResult> {
    const profile = this.#profileOf(host, invocation, control);
    if (profile === undefined) return runAutocommitted(host, invocation, control);
    const carrier = profile.isShareable ? this.#carrierFor(host) : undefined;
    return carrier === undefined
      ? runAutocommitted(host, invocation, control, profile)
      : carrier.carry(host, invocation, profile);
  }

  /** Undefined for what must have a connection alone, whatever its text. */
  #profileOf(
    host: AutocommitHost,
    { commands, options, watch }: Invocation,
    control: readonly Control[],
  ): TextProfile | undefined {
    const [command] = commands;
    if (command === undefined || commands.length > 1 || control.length > 0) return undefined;
    // A CancelRequest hits whatever runs; a listener wants to know of one statement at a time.
    if (options.timeout !== undefined || options.signal !== undefined || watch !== undefined)
      return undefined;
    if (options.prepare === false || host.pool.views !== undefined) return undefined;
    const profile = this.#texts.of(command.text);
    return profile.isRead ? profile : undefined;
  }

  #carrierFor(host: AutocommitHost): Carrier | undefined {
    let best: Carrier | undefined;
    for (const carrier of this.#carriers) {
      if (carrier.isBoarding(host.pool) && (best === undefined || carrier.load < best.load)) best = carrier;
    }
    if (best !== undefined && (best.load < COMFORTABLE || this.#carriers.size >= MOST_CARRIERS)) return best;
    const pooled = host.pool.tryConnect();
    if (pooled === undefined) return best;
    const carrier: Carrier = new Carrier(host.pool, pooled, () => this.#carriers.delete(carrier));
    this.#carriers.add(carrier);
    return carrier;
  }
}
