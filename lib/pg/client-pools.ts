import type { OwnSession } from './own-session.js';
import type { KnownClient } from './known-client.js';

/** The pools that know one physical connection, which outlives a pool that is made for one request. */
export class ClientPools {
  readonly #known = new Set<WeakRef<KnownClient>>();

  private constructor({ client }: OwnSession) {
    client.on('error', (error: unknown) => {
      for (const known of this.#living()) known.handleError(error);
    });
    client.once('end', () => {
      for (const known of this.#living()) known.handleEnd();
    });
  }

  static of(session: OwnSession): ClientPools {
    const { info } = session.pooled;
    const before = info.get(ClientPools) as ClientPools | undefined;
    const pools = before ?? new ClientPools(session);
    info.set(ClientPools, pools);
    return pools;
  }

  add(known: KnownClient): void {
    this.#living();
    this.#known.add(new WeakRef(known));
  }

  #living(): readonly KnownClient[] {
    const living: KnownClient[] = [];
    for (const reference of this.#known) {
      const known = reference.deref();
      if (known === undefined) this.#known.delete(reference);
      else living.push(known);
    }
    return living;
  }
}
