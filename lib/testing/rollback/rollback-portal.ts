import type { Batch, Command, Control, Portal, RowShape } from '../../engine/index.js';
import type { Piece } from './piece.js';

/** What a portal needs of its session. */
interface PortalPlace {
  readonly signal: AbortSignal | undefined;
  open(control: readonly Control[], command: Command): Portal;
  send(control: readonly Control[]): Promise<unknown>;
  perform(piece: Piece<Batch>): Promise<Batch>;
}

/** A cursor whose fetches take turns with the other work of the test. */
export class RollbackPortal implements Portal {
  readonly #control: readonly Control[];
  readonly #command: Command;
  readonly #place: PortalPlace;
  #portal: Portal | undefined;
  #fetching: Promise<unknown> = Promise.resolve();

  constructor(control: readonly Control[], command: Command, place: PortalPlace) {
    this.#control = control;
    this.#command = { ...command, prepare: false };
    this.#place = place;
  }

  get shape(): RowShape | undefined {
    return this.#portal?.shape;
  }

  fetch(count: number): Promise<Batch> {
    const fetching = this.#fetch(count);
    this.#fetching = fetching.catch(() => undefined);
    return fetching;
  }

  async close(): Promise<void> {
    await this.#fetching;
    await this.#portal?.close();
  }

  #fetch(count: number): Promise<Batch> {
    const { signal } = this.#place;
    const portal = this.#portal;
    if (portal !== undefined) {
      const send = (opening: readonly Control[]): Promise<Batch> => this.#fetchBehind(opening, portal, count);
      return this.#place.perform({ control: [], commands: [], signal, send });
    }
    return this.#place.perform({
      control: this.#control,
      commands: [this.#command],
      signal,
      send: (opening, [command = this.#command]) => {
        this.#portal = this.#place.open(opening, command);
        return this.#portal.fetch(count);
      },
    });
  }

  // What must be in front of a later fetch cannot travel with it.
  async #fetchBehind(opening: readonly Control[], portal: Portal, count: number): Promise<Batch> {
    if (opening.length > 0) await this.#place.send(opening);
    return await portal.fetch(count);
  }
}
