/** What became of a statement or a transaction: `open` while that is not decided. */
export type Fate = 'open' | 'kept' | 'undone';

/** One bar of a timeline. Times are in ms since the unit began. */
export interface StepView {
  readonly id: number;
  /** The transaction or savepoint around it. */
  readonly parent: number | undefined;
  readonly kind: 'statement' | 'transaction' | 'savepoint' | 'wait';
  readonly start: number;
  /** Undefined while it runs. */
  readonly duration: number | undefined;
  readonly fate: Fate;
  /** SQL of a statement; of a transaction, where it was started. */
  readonly text: string;
  /** The values of a statement, where they are shown. */
  readonly values: string | undefined;
  readonly rows: number | undefined;
  readonly error: string | undefined;
  /** Where in the application it was called. */
  readonly site: string | undefined;
}

/** How a unit of work ended. `autocommit`: without a transaction, each statement stored by itself. */
export type Outcome = 'running' | 'committed' | 'rolled back' | 'autocommit' | 'failed';

/** One request, job or lone transaction. */
export interface UnitView {
  readonly id: number;
  readonly engine: string;
  readonly label: string;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly duration: number | undefined;
  readonly outcome: Outcome;
  readonly statements: number;
  readonly roundTrips: number;
  readonly steps: readonly StepView[];
  /** Steps beyond those that are kept. */
  readonly omitted: number;
}

/** One SQL text, over all of its runs. Times are in ms. */
export interface StatementView {
  readonly id: number;
  readonly engine: string;
  readonly sql: string;
  readonly calls: number;
  readonly errors: number;
  readonly rows: number;
  readonly total: number;
  readonly mean: number;
  readonly p95: number;
  readonly sites: readonly string[];
}

/** Who has a connection of the pool. */
export interface HolderView {
  readonly pid: number | undefined;
  readonly label: string;
  readonly site: string | undefined;
  /** Milliseconds since it was checked out. */
  readonly since: number;
}

/** A pool at one moment: milliseconds since 1970, connections on loan, and callers that wait. */
export type PoolSample = readonly [at: number, onLoan: number, waiting: number];

export interface PoolView {
  readonly engine: string;
  readonly max: number;
  readonly size: number;
  readonly idle: number;
  readonly onLoan: number;
  readonly waiting: number;
  readonly holders: readonly HolderView[];
  readonly samples: readonly PoolSample[];
}

/** A session that waits for a lock, or that others wait for. */
export interface LockView {
  readonly engine: string;
  readonly pid: number;
  /** Its `application_name`. */
  readonly application: string;
  readonly blockedBy: readonly number[];
  /** The unit of work that has this session, where it is one of this application. */
  readonly label: string | undefined;
  readonly site: string | undefined;
  readonly state: string;
  /** Undefined for another application, whose texts may have values in them, unless these are shown. */
  readonly sql: string | undefined;
  /** Milliseconds. */
  readonly waiting: number | undefined;
}

/** Something that a person should look at, and what to do about it. */
export interface FindingView {
  readonly id: number;
  readonly kind: string;
  readonly engine: string;
  readonly title: string;
  readonly advice: string;
  readonly site: string | undefined;
  readonly unit: number | undefined;
  readonly at: number;
  readonly count: number;
}

/** How many of each kind are kept, and from how many on a repetition is N + 1. */
export interface DevtoolsLimits {
  readonly units: number;
  readonly statements: number;
  readonly findings: number;
  readonly repeated: number;
}

/** What is sent to the page; only what has changed. */
export interface DevtoolsUpdate {
  readonly units?: readonly UnitView[];
  readonly statements?: readonly StatementView[];
  readonly pools?: readonly PoolView[];
  readonly locks?: readonly LockView[];
  readonly findings?: readonly FindingView[];
}
