import { AbsentError } from './benchmark-error.js';
import { orderOf } from './figures.js';
import { Observer } from './observer.js';
import { OURS } from './peers/index.js';
import type { Round } from './protocol.js';
import type { ProfileReport, WorkloadReport } from './report/report.js';
import { beforeOf, reportWorkload } from './report/report-workload.js';
import { WorkerProcess } from './worker-process.js';
import { isCompared, type Contender, type Size, type Way, type Workload } from './workload.js';

export interface RunSettings {
  readonly databaseUrl: string;
  readonly smoke: boolean;
  /** Wins over the workload's own number. */
  readonly rounds: number | undefined;
  /**
   * Processes of each contender, one after the other: one of a build differs from the next of the same. Wins over the
   * workload's own number, which is of some of them.
   */
  readonly processes: number | undefined;
  /** Contenders that take part beside the base; undefined: all. */
  readonly peers: readonly string[] | undefined;
  /** URL of the folder of a build that is measured beside this one. */
  readonly before: string | undefined;
  /** The program that runs the contenders: a Node.js. */
  readonly node: string;
  readonly progress: (line: string) => void;
}

const DEFAULT_ROUNDS = 5;

/** A second process of the base: how far it is from 1 is how far the figures can be trusted. */
const CONTROL = 'the base once more';

/** Who is to take part: a contender, one with another build of the library, or the control. */
interface Role {
  readonly name: string;
  readonly contender: string;
  /** URL of the folder of the build; undefined: this one. */
  readonly library?: string | undefined;
}

/** What the processes of one role measured, all together. */
interface Measured {
  readonly rounds: Round[];
  /** The one that began with cold code, where it does not count. */
  first?: Round | undefined;
}

interface Participant extends Role {
  readonly process: WorkerProcess;
  readonly measured: Measured;
}

/** Runs all contenders of a workload, each in a process of its own, round by round, in an order that changes. */
export async function runWorkload(workload: Workload, settings: RunSettings): Promise<WorkloadReport> {
  const size = settings.smoke ? workload.smoke : workload.full;
  const { databaseUrl } = settings;
  if (workload.fixtures !== undefined) {
    const script = workload.fixtures(size);
    await Observer.ask(databaseUrl, (observer) => observer.execute(script));
  }
  const run = new WorkloadRun(workload, size, settings);
  let way: Way | undefined;
  try {
    way = await workload.way?.(databaseUrl);
    const turns = processesOf(workload, settings);
    for (let turn = 1; turn <= turns; turn += 1)
      await run.measure(way?.url ?? databaseUrl, { isFirst: turn === 1, isLast: turn === turns });
  } catch (error) {
    if (!(error instanceof AbsentError)) throw error;
    run.miss(error);
  } finally {
    await way?.close();
  }
  return run.report();
}

/** What counts itself in one round is the same in each process. */
function processesOf({ unit, processes = 1 }: Workload, settings: RunSettings): number {
  return settings.smoke || unit !== undefined ? 1 : (settings.processes ?? processes);
}

/** Rounds that do not count. */
function warmUpsOf({ operations, warmUp = operations }: Size): number {
  return Math.ceil(warmUp / operations);
}

/** Where one round is enough, it stays one. */
function roundsOf({ rounds = DEFAULT_ROUNDS }: Size, wanted: number | undefined): number {
  return rounds === 1 ? 1 : (wanted ?? rounds);
}

/** Which one it is of several with new processes. */
interface Turn {
  readonly isFirst: boolean;
  readonly isLast: boolean;
}

class WorkloadRun {
  readonly #workload: Workload;
  readonly #size: Size;
  readonly #settings: RunSettings;
  readonly #failures: string[] = [];
  readonly #absences: string[] = [];
  readonly #measured = new Map<string, Measured>();
  /** Names of those that take part no more, and of whom nothing is told. */
  readonly #failed = new Set<string>();
  #participants: readonly Participant[] = [];
  #profile: ProfileReport | undefined;

  constructor(workload: Workload, size: Size, settings: RunSettings) {
    this.#workload = workload;
    this.#size = size;
    this.#settings = settings;
  }

  /**
   * Once more with processes of their own: with all that take part when it is the first turn, which compares the same
   * rounds. In the last one, looks into one of them as well.
   */
  async measure(url: string, { isFirst, isLast }: Turn): Promise<void> {
    this.#progress('opening');
    const isOfAll = isFirst || this.#settings.processes !== undefined;
    const cast = this.#cast().filter(
      ({ name, contender }) =>
        !this.#failed.has(name) && (isOfAll || isCompared(this.#workload, { name: contender })),
    );
    const opened = await Promise.all(cast.map((role) => this.#open(role, url)));
    this.#participants = opened.filter((participant) => participant !== undefined);
    try {
      await this.#rounds();
      if (isLast) await this.#lookInto();
    } finally {
      await Promise.all(this.#participants.map(({ process }) => process.close()));
    }
  }

  async #rounds(): Promise<void> {
    const { smoke, rounds: wanted } = this.#settings;
    const count = smoke ? 1 : roundsOf(this.#size, wanted);
    const warmUps = smoke || this.#workload.unit !== undefined ? 0 : warmUpsOf(this.#size);
    for (let round = 1 - warmUps; round <= count; round += 1) {
      this.#progress(round > 0 ? `round ${round} of ${count}` : `warming up, ${1 - round} to go`);
      for (const participant of orderOf(this.#participants, round + warmUps))
        await this.#round(participant, round > 0);
    }
  }

  /** Looks into the one that the goals are about, where its process does the work. */
  async #lookInto(): Promise<void> {
    const { goals, unit, profile = unit === undefined } = this.#workload;
    const [goal] = goals;
    if (!profile) return;
    const participant = this.#participants.find(({ name }) => name === goal?.of);
    if (participant === undefined) return;
    this.#progress('profile');
    try {
      this.#profile = { of: participant.name, parts: await participant.process.profile() };
    } catch (error) {
      this.#fail(error);
    }
  }

  report(): WorkloadReport {
    const entries = [...this.#measured].filter(([name]) => !this.#failed.has(name));
    const measured = new Map(entries.map(([name, { rounds }]) => [name, rounds]));
    const firsts = new Map(entries.map(([name, { first }]) => [name, first]));
    const report = reportWorkload(this.#workload, this.#size.operations, measured, this.#failures, firsts);
    return { ...report, absences: this.#absences, profile: this.#profile };
  }

  #cast(): Role[] {
    const { contenders, base, goals } = this.#workload;
    const { smoke, before: library } = this.#settings;
    const cast = contenders
      .filter((contender) => this.#isWanted(contender))
      .map(({ name }): Role => ({ name, contender: name }));
    const ours = cast.filter(({ name }) => name === OURS || goals.some(({ of }) => of === name));
    const before =
      library === undefined
        ? []
        : ours.map(({ name }) => ({ name: beforeOf(name), contender: name, library }));
    return smoke || this.#workload.unit !== undefined
      ? [...cast, ...before]
      : [...cast, ...before, { name: CONTROL, contender: base }];
  }

  #isWanted({ name }: Contender): boolean {
    const { peers } = this.#settings;
    const lower = name.toLowerCase();
    return (
      peers === undefined ||
      name === this.#workload.base ||
      peers.some((peer) => lower.includes(peer.toLowerCase()))
    );
  }

  async #open(role: Role, url: string): Promise<Participant | undefined> {
    const { databaseUrl: directUrl, node } = this.#settings;
    const { contender, library } = role;
    const { name: workload, patience } = this.#workload;
    const measured = this.#measured.get(role.name) ?? { rounds: [] };
    this.#measured.set(role.name, measured);
    try {
      const order = { workload, contender, url, directUrl, size: this.#size };
      const process = await WorkerProcess.open(order, { node, library, patience });
      return { ...role, measured, process };
    } catch (error) {
      this.#fail(error);
      this.#failed.add(role.name);
      return undefined;
    }
  }

  async #round(participant: Participant, counts: boolean): Promise<void> {
    try {
      const round = await participant.process.round();
      if (counts) participant.measured.rounds.push(round);
      else participant.measured.first ??= round;
    } catch (error) {
      this.#fail(error);
      this.#failed.add(participant.name);
      this.#participants = this.#participants.filter((other) => other !== participant);
      await participant.process.close();
    }
  }

  /** Someone, or all, cannot take part here. */
  miss({ message }: AbsentError): void {
    this.#absences.push(message);
  }

  #fail(error: unknown): void {
    if (error instanceof AbsentError) this.miss(error);
    else this.#failures.push(error instanceof Error ? error.message : String(error));
  }

  #progress(what: string): void {
    this.#settings.progress(`${this.#workload.name}: ${what}`);
  }
}
