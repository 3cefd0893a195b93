import type {
  Command,
  CommandResult,
  Control,
  Driver,
  DriverConnection,
  DriverFacts,
  Portal,
  ServerStatus,
} from '../../../lib/engine/driver/driver.js';
import { InterfaceError } from '../../../lib/engine/errors/errors.js';
import {
  ConnectionLostError,
  NotSupportedError,
  OperationalError,
} from '../../../lib/engine/errors/server-errors.js';

/** A door that can be shut: whoever comes to it waits until it is opened. */
export class Latch {
  #waiting: { pass(): void; refuse(error: Error): void }[] = [];
  #state: 'open' | 'shut' = 'open';

  get waiting(): number {
    return this.#waiting.length;
  }

  shut(): void {
    this.#state = 'shut';
  }

  /** Opens the door for those who wait and for everybody after them. */
  open(): void {
    this.#state = 'open';
    for (const one of this.#waiting.splice(0)) one.pass();
  }

  /** Lets the first of those who wait through; the door stays shut. */
  passOne(): void {
    this.#waiting.shift()?.pass();
  }

  failOne(error: Error): void {
    this.#waiting.shift()?.refuse(error);
  }

  failAll(error: Error): void {
    for (const one of this.#waiting.splice(0)) one.refuse(error);
  }

  async enter(): Promise<void> {
    if (this.#state === 'open') return;
    await new Promise<void>((pass, refuse) => this.#waiting.push({ pass, refuse }));
  }
}

export const unreachable = (): OperationalError => new OperationalError('the fake server is down');

/** A session without a server. Its state can be set from outside and everything that it is asked is written down. */
export class FakeSession implements DriverConnection {
  readonly driverConnection: object;
  readonly processId: number;
  /** Statements, and `(close)` or `(terminate)`, in the order in which they came. */
  readonly log: string[] = [];
  /** Commands wait here before they are answered. */
  readonly commands = new Latch();
  /** `close()` waits here before it says goodbye. */
  readonly goodbye = new Latch();
  status: ServerStatus = 'idle';
  /** Set by a test: something is under way although no command of the fake is. */
  isBusy = false;
  /** ROLLBACK is answered and changes nothing. */
  isStuck = false;
  /** What the next commands fail with, by their text. */
  readonly failures = new Map<string, Error>();
  readonly #ended: () => void;
  #running = 0;
  #names = 0;
  #state: 'open' | 'ended' = 'open';

  constructor(processId: number, ended: () => void) {
    this.processId = processId;
    this.driverConnection = { processId };
    this.#ended = ended;
  }

  get client(): undefined {
    return undefined;
  }

  lend(): Promise<never> {
    return Promise.reject(new Error('a fake session has no client'));
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  get isQuiet(): boolean {
    return this.#running === 0 && !this.isBusy;
  }

  /** The server goes away: nobody is told, the next command finds out. */
  lose(): void {
    this.#end();
    this.commands.failAll(
      new ConnectionLostError('the fake connection was lost', { connectionInvalidated: true }),
    );
  }

  async execute(control: readonly Control[], command: Command): Promise<CommandResult> {
    if (!this.isOpen) throw new InterfaceError('the fake session is closed');
    this.log.push(command.text);
    this.#running += 1;
    try {
      await this.commands.enter();
    } finally {
      this.#running -= 1;
    }
    for (const step of control) {
      this.#applyTo(step.text);
      step.acknowledged?.();
    }
    const failure = this.failures.get(command.text);
    if (failure !== undefined) throw failure;
    this.#applyTo(command.text);
    return { command: command.text, rowCount: -1, shape: undefined, rows: [] };
  }

  executeMany(): Promise<CommandResult[]> {
    return Promise.reject(new NotSupportedError('the fake session runs one command at a time'));
  }

  uniqueName(prefix: string): string {
    this.#names += 1;
    return `${prefix}${this.#names}`;
  }

  openPortal(): Portal {
    throw new NotSupportedError('the fake session has no portals');
  }

  async cancel(): Promise<void> {}

  async close(): Promise<void> {
    this.log.push('(close)');
    await this.goodbye.enter();
    this.#end();
  }

  terminate(): void {
    if (!this.isOpen) return;
    this.log.push('(terminate)');
    this.lose();
  }

  #applyTo(text: string): void {
    if (text === 'BEGIN') this.status = 'open';
    if ((text === 'COMMIT' || text === 'ROLLBACK') && !this.isStuck) {
      this.status = 'idle';
      this.isBusy = false;
    }
  }

  #end(): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#ended();
  }
}

/** Opens fake sessions: at once, when its latch lets them through, or not at all. */
export class FakeDriver implements Driver {
  readonly facts: DriverFacts;
  readonly sessions: FakeSession[] = [];
  /** Connection attempts wait here. */
  readonly connects = new Latch();
  /** While set, every attempt fails with it. */
  failure: Error | undefined;
  /** Runs at the beginning of each attempt. */
  onConnect: (() => void) | undefined;
  #attempts = 0;
  #live = 0;
  #peak = 0;

  constructor(facts: Partial<DriverFacts> = {}) {
    this.facts = { name: 'fake', maxConnections: Infinity, ...facts };
  }

  get attempts(): number {
    return this.#attempts;
  }

  /** Sessions that exist now. */
  get live(): number {
    return this.#live;
  }

  /** The most sessions, attempts included, that there have been at once. */
  get peak(): number {
    return this.#peak;
  }

  async connect(): Promise<FakeSession> {
    this.#attempts += 1;
    this.#live += 1;
    this.#peak = Math.max(this.#peak, this.#live);
    const processId = this.#attempts;
    this.onConnect?.();
    try {
      await this.connects.enter();
      if (this.failure !== undefined) throw this.failure;
    } catch (error) {
      this.#live -= 1;
      throw error;
    }
    const session = new FakeSession(processId, () => (this.#live -= 1));
    this.sessions.push(session);
    return session;
  }
}

/** The session that was lent. */
export const sessionOf = (loan: { readonly session: DriverConnection }): FakeSession =>
  loan.session as FakeSession;

/** Lets everything run that waits for nothing but promises. */
export async function settle(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}
