import type { CallSite } from '../../../engine/util/call-site.js';
import { LruCache } from '../../../engine/util/lru-cache.js';
import { placeText } from './place.js';
import type { StatementView } from './views.js';

/** Texts that are kept. */
export const MAX_TEXTS = 500;
const MAX_SITES = 5;
/** A text that is called from several places shows them early. */
const CALLS_LOOKED_AT = 100;
/** The newest durations of a text, of which the 95th percentile is taken. */
const SAMPLES = 128;

/** What is known of one SQL text. */
class StatementFigures {
  readonly id: number;
  readonly engine: string;
  readonly sql: string;
  /** Of the last run: EXPLAIN needs some. */
  values: readonly unknown[] = [];
  #calls = 0;
  #errors = 0;
  #rows = 0;
  #total = 0;
  readonly #durations: number[] = [];
  readonly #sites = new Set<string>();

  constructor(id: number, engine: string, sql: string) {
    this.id = id;
    this.engine = engine;
    this.sql = sql;
  }

  add(run: StatementRun): void {
    this.values = run.values;
    this.#durations[this.#calls % SAMPLES] = run.duration;
    this.#calls += 1;
    this.#total += run.duration;
    this.#rows += Math.max(0, run.rows ?? 0);
    if (run.failed) this.#errors += 1;
    // The text of a place costs more than all the rest.
    if (this.#calls <= CALLS_LOOKED_AT && this.#sites.size < MAX_SITES) this.#sites.add(placeText(run.site));
  }

  view(): StatementView {
    const sorted = [...this.#durations].sort((a, b) => a - b);
    return {
      id: this.id,
      engine: this.engine,
      sql: this.sql,
      calls: this.#calls,
      errors: this.#errors,
      rows: this.#rows,
      total: this.#total,
      mean: this.#total / this.#calls,
      p95: sorted[Math.ceil(sorted.length * 0.95) - 1] ?? 0,
      sites: [...this.#sites],
    };
  }
}

/** One run of a statement. */
interface StatementRun {
  readonly engine: string;
  readonly sql: string;
  readonly values: readonly unknown[];
  readonly duration: number;
  readonly rows: number | undefined;
  readonly failed: boolean;
  readonly site: CallSite;
}

/** The texts that were used last, with their figures. */
export class StatementTable {
  readonly #byText = new LruCache<string, StatementFigures>(MAX_TEXTS);
  readonly #changed = new Set<StatementFigures>();
  #lastId = 0;

  add(run: StatementRun): void {
    const key = `${run.engine}\n${run.sql}`;
    let figures = this.#byText.get(key);
    if (figures === undefined) {
      figures = new StatementFigures((this.#lastId += 1), run.engine, run.sql);
      this.#byText.set(key, figures);
    }
    figures.add(run);
    this.#changed.add(figures);
  }

  find(
    id: unknown,
  ): { readonly engine: string; readonly sql: string; readonly values: readonly unknown[] } | undefined {
    return this.#all().find((figures) => figures.id === id);
  }

  /** Those that changed since the last call. */
  takeChanges(): StatementView[] {
    const views = [...this.#changed].map((figures) => figures.view());
    this.#changed.clear();
    return views;
  }

  views(): StatementView[] {
    return this.#all().map((figures) => figures.view());
  }

  #all(): StatementFigures[] {
    return [...this.#byText.keys()].flatMap((key) => this.#byText.peek(key) ?? []);
  }
}
