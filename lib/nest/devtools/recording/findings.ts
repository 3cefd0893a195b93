import { IllegalStateError } from '../../../engine/index.js';
import { placeText } from './place.js';
import type { FindingView } from './views.js';

/** Kinds and places that are kept. */
export const MAX_FINDINGS = 100;

/** A new finding, or one more of a kind that is known. */
export interface Finding extends Pick<FindingView, 'kind' | 'title' | 'advice'> {
  /** What makes two of them one: a text, a place. */
  readonly key: string;
  /** The line of code: a call site, or its text. */
  readonly site?: unknown;
}

/** What a finding is about: a unit of work, or all of an engine. */
interface Subject {
  readonly engine: string;
  readonly id?: number;
}

/** What is done about a finding, besides showing it. */
export type FindingAction = 'show' | 'warn' | 'throw' | ((finding: FindingView) => void);

/** What people should look at, the newest of each kind and place. */
export class Findings {
  readonly #byKey = new Map<string, FindingView>();
  readonly #changed = new Set<string>();
  readonly #action: FindingAction;
  readonly #warn: (engine: string, message: string) => void;
  #lastId = 0;

  constructor(action: FindingAction, warn: (engine: string, message: string) => void) {
    this.#action = action;
    this.#warn = warn;
  }

  /** Gives the error that is to be thrown, with the action `throw`: where there is a statement to refuse. */
  add({ engine, id: unit }: Subject, finding: Finding): IllegalStateError | undefined {
    const { kind, title, advice, site } = finding;
    const key = `${kind}\n${engine}\n${finding.key}`;
    const known = this.#byKey.get(key);
    const view: FindingView = {
      kind,
      engine,
      title,
      advice,
      site: site === undefined ? undefined : placeText(site),
      unit,
      id: known?.id ?? (this.#lastId += 1),
      at: Date.now(),
      count: (known?.count ?? 0) + 1,
    };
    this.#byKey.delete(key);
    this.#byKey.set(key, view);
    this.#changed.add(key);
    const [oldest] = this.#byKey.keys();
    if (this.#byKey.size > MAX_FINDINGS && oldest !== undefined) this.#byKey.delete(oldest);
    return this.#act(view);
  }

  #act(finding: FindingView): IllegalStateError | undefined {
    const message = `${finding.title}${finding.site === undefined ? '' : ` at ${finding.site}`}. ${finding.advice}`;
    if (typeof this.#action === 'function') this.#action(finding);
    else if (this.#action === 'throw') return new IllegalStateError(message);
    else if (this.#action === 'warn' && finding.count === 1) this.#warn(finding.engine, message);
    return undefined;
  }

  takeChanges(): FindingView[] {
    const views = [...this.#changed].flatMap((key) => this.#byKey.get(key) ?? []);
    this.#changed.clear();
    return views;
  }

  views(): FindingView[] {
    return [...this.#byKey.values()];
  }
}
