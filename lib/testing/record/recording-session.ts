import type {
  Batch,
  Command,
  CommandList,
  CommandOptions,
  CommandResult,
  Control,
  DriverConnection,
  Portal,
  RowShape,
  ServerStatus,
  SessionServer,
} from '../../engine/index.js';

/** Told of everything that a session is handed, before it goes out. */
type SentListener = (control: readonly Control[], commands: readonly Command[]) => void;

/** A session that tells what it is asked; otherwise it is the one behind it. */
export class RecordingSession implements DriverConnection {
  readonly recorded: DriverConnection;
  readonly #sent: SentListener;

  constructor(recorded: DriverConnection, sent: SentListener) {
    this.recorded = recorded;
    this.#sent = sent;
  }

  get driverConnection(): unknown {
    return this.recorded.driverConnection;
  }

  get client(): unknown {
    return this.recorded.client;
  }

  get isPart(): boolean {
    return this.recorded.isPart === true;
  }

  get processId(): number | undefined {
    return this.recorded.processId;
  }

  get server(): SessionServer | undefined {
    return this.recorded.server;
  }

  get status(): ServerStatus {
    return this.recorded.status;
  }

  get transactionEnds(): number | undefined {
    return this.recorded.transactionEnds;
  }

  get isOpen(): boolean {
    return this.recorded.isOpen;
  }

  get isQuiet(): boolean {
    return this.recorded.isQuiet;
  }

  execute(control: readonly Control[], command: Command, options?: CommandOptions): Promise<CommandResult> {
    this.#sent(control, [command]);
    return this.recorded.execute(control, command, options);
  }

  executeMany(
    control: readonly Control[],
    commands: CommandList,
    options?: CommandOptions,
  ): Promise<CommandResult[]> {
    this.#sent(control, commands.slice(0));
    return this.recorded.executeMany(control, commands, options);
  }

  uniqueName(prefix: string): string {
    return this.recorded.uniqueName(prefix);
  }

  openPortal(control: readonly Control[], command: Command, options?: CommandOptions): Portal {
    const portal = this.recorded.openPortal(control, command, options);
    return new RecordingPortal(portal, () => this.#sent(control, [command]));
  }

  lend(
    control: readonly Control[],
    use: (client: unknown) => void,
    options?: CommandOptions,
  ): Promise<CommandResult> {
    this.#sent(control, []);
    return this.recorded.lend(control, use, options);
  }

  cancel(): Promise<void> {
    return this.recorded.cancel();
  }

  close(): Promise<void> {
    return this.recorded.close();
  }

  terminate(): void {
    this.recorded.terminate();
  }
}

/** The statement goes out with the first fetch. */
class RecordingPortal implements Portal {
  readonly #portal: Portal;
  #opened: (() => void) | undefined;

  constructor(portal: Portal, opened: () => void) {
    this.#portal = portal;
    this.#opened = opened;
  }

  get shape(): RowShape | undefined {
    return this.#portal.shape;
  }

  fetch(count: number): Promise<Batch> {
    this.#opened?.();
    this.#opened = undefined;
    return this.#portal.fetch(count);
  }

  close(): Promise<void> {
    return this.#portal.close();
  }
}

/** The session behind those that record it. */
export function recordedSession(session: DriverConnection): DriverConnection {
  return session instanceof RecordingSession ? recordedSession(session.recorded) : session;
}
