import type { AsyncConnection, TransactionEvent } from '../../../engine/index.js';
import { parametersText } from '../../../engine/errors/parameter-text.js';
import type { CallSite } from '../../../engine/util/call-site.js';
import type { Findings } from './findings.js';
import { placeText } from './place.js';
import { currentBudget } from './statement-budget.js';
import type { Unit } from './unit.js';

/** From which figure on something is a finding. */
export interface FindingLimits {
  /** The same text from the same line with other values, in one unit. */
  readonly repeated: number;
  /** Milliseconds that a transaction waits for its application. */
  readonly heldIdle: number;
  /** Statements of one unit. */
  readonly statements: number;
  /** Milliseconds of one statement. */
  readonly slow: number;
}

interface Sent {
  readonly sql: string;
  readonly site: CallSite;
  readonly parameters: unknown;
  /** When it was called, by `performance.now()`. */
  readonly startedAt: number;
  readonly transactionEvent: TransactionEvent<AsyncConnection> | undefined;
}

interface Answered {
  readonly sql: string;
  readonly site: CallSite;
  readonly duration: number;
  readonly transactionEvent: object | undefined;
}

/** A text in one unit. Lines are told apart when it is sent often: the text of a call site is dear. */
interface Repetition {
  count: number;
  /** Those whose line was not asked for yet. */
  unread: { readonly site: CallSite; readonly values: string }[];
  readonly lines: Map<string, { count: number; readonly values: Set<string> }>;
}

/** Runs of one text in one unit, as a multiple of the limit, behind which lines are no longer told apart. */
const MOST_RUNS = 10;

/** What is worth a look in one unit of work. */
export class UnitFindings {
  readonly #findings: Findings;
  readonly #limits: FindingLimits;
  readonly #repetitions = new WeakMap<Unit, Map<string, Repetition>>();
  /** When a transaction had its last answer, by `performance.now()`. */
  readonly #answeredAt = new WeakMap<object, number>();

  constructor(findings: Findings, limits: FindingLimits) {
    this.#findings = findings;
    this.#limits = limits;
  }

  /** @throws IllegalStateError where findings are to be thrown: the statement is refused. */
  sending(unit: Unit, sent: Sent): void {
    const error =
      this.#repeated(unit, sent) ??
      this.#many(unit) ??
      this.#idle(unit, sent) ??
      this.#waiting(unit, sent) ??
      this.#overBudget(unit, sent);
    if (error !== undefined) throw error;
  }

  answered(unit: Unit, { sql, site, duration, transactionEvent }: Answered): void {
    if (transactionEvent !== undefined) this.#answeredAt.set(transactionEvent, performance.now());
    if (duration < this.#limits.slow) return;
    this.#findings.add(unit, {
      kind: 'slow',
      key: sql,
      title: `a statement took ${Math.round(duration)} ms`,
      advice: 'Look at its plan on the page Statements: an index may be missing, or it waited for a lock.',
      site,
    });
  }

  #repeated(unit: Unit, { sql, parameters, site }: Sent) {
    let byText = this.#repetitions.get(unit);
    if (byText === undefined) this.#repetitions.set(unit, (byText = new Map<string, Repetition>()));
    let repetition = byText.get(sql);
    if (repetition === undefined) byText.set(sql, (repetition = { count: 0, unread: [], lines: new Map() }));
    const { repeated: limit } = this.#limits;
    repetition.count += 1;
    if (repetition.count > MOST_RUNS * limit) return undefined;
    repetition.unread.push({ site, values: parametersText(parameters) });
    if (repetition.count < limit) return undefined;
    const line = readLines(repetition);
    if (line === undefined || line.count !== limit || line.values.size < 2) return undefined;
    return this.#findings.add(unit, {
      kind: 'repeated',
      key: `${sql} at ${line.place}`,
      title: `${unit.label} sent the same text ${line.count} times with other values (N + 1)`,
      advice: 'Ask once for all of them: WHERE id = ANY($1), a JOIN, or a DataLoader.',
      site: line.place,
    });
  }

  #many(unit: Unit) {
    if (unit.statements !== this.#limits.statements) return undefined;
    return this.#findings.add(unit, {
      kind: 'statements',
      key: unit.label,
      title: `${unit.label} sent ${unit.statements} statements`,
      advice: 'Each waits for the server: use fewer, or send independent ones with batch().',
    });
  }

  #idle(unit: Unit, { site, transactionEvent, startedAt }: Sent) {
    const since = transactionEvent === undefined ? undefined : this.#answeredAt.get(transactionEvent);
    const idle = since === undefined ? 0 : startedAt - since;
    if (idle < this.#limits.heldIdle) return undefined;
    return this.#findings.add(unit, {
      kind: 'heldIdle',
      key: unit.label,
      title: `${unit.label} kept a transaction open for ${Math.round(idle)} ms without using it`,
      advice:
        'Its connection and its locks are kept meanwhile: do what waits for something else before or after it.',
      site,
    });
  }

  /** Not for a connection: its transaction, or the one around it, had an answer before. */
  #waiting(unit: Unit, { site, transactionEvent: own, startedAt }: Sent) {
    const isUsed = [own, own?.parent].some((each) => each !== undefined && this.#answeredAt.has(each));
    const waited = isUsed ? performance.now() - startedAt : 0;
    if (waited < this.#limits.heldIdle) return undefined;
    return this.#findings.add(unit, {
      kind: 'nestedWait',
      key: unit.label,
      title: `${unit.label} waited ${Math.round(waited)} ms for its turn in its own transaction`,
      advice:
        'Statements and nested transactions of one transaction run one after the other: work side by side needs a transaction of its own.',
      site,
    });
  }

  #overBudget(unit: Unit, { site }: Sent) {
    const budget = currentBudget();
    if (budget === undefined) return undefined;
    budget.spent += 1;
    if (budget.spent !== budget.limit + 1) return undefined;
    return this.#findings.add(unit, {
      kind: 'budget',
      key: budget.label,
      title: `${budget.label} sent more than its ${budget.limit} statements`,
      advice: 'Send fewer, or raise the number in its @StatementBudget().',
      site,
    });
  }
}

/** Sorts what was sent by the lines it came from; gives the line of the last. */
function readLines(repetition: Repetition) {
  const { unread, lines } = repetition;
  repetition.unread = [];
  let last: { readonly place: string; readonly count: number; readonly values: Set<string> } | undefined;
  for (const { site, values } of unread) {
    const place = placeText(site);
    const line = lines.get(place) ?? { count: 0, values: new Set() };
    lines.set(place, line);
    line.count += 1;
    line.values.add(values);
    last = { place, ...line };
  }
  return last;
}
