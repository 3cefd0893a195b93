import type { DriverConnection } from './driver.js';

/**
 * Stands in front of a session: what a borrower then sees and speaks to. The same session must get the same
 * view.
 */
export type SessionView = (session: DriverConnection) => DriverConnection;

/**
 * The views through which a pool lends its sessions, for tests that watch what is sent. The first stands
 * innermost.
 */
export class SessionViews {
  #views: readonly SessionView[] = [];

  /** Holds for loans that are open already, too, until the function that you get is called. */
  add(view: SessionView): () => void {
    this.#views = [...this.#views, view];
    return () => {
      this.#views = this.#views.filter((other) => other !== view);
    };
  }

  of(session: DriverConnection): DriverConnection {
    return this.#views.reduce((seen, view) => view(seen), session);
  }
}

/** Looks through `view` at the sessions of all `pools`, until the function that you get is called. */
export function viewSessions(pools: readonly ViewedPool[], view: SessionView): () => void {
  const ends = pools.map((pool) => (pool.views ??= new SessionViews()).add(view));
  return () => {
    for (const end of ends) end();
  };
}

interface ViewedPool {
  views: SessionViews | undefined;
}
