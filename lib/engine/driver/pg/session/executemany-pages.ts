import { EngineError, StatementError } from '../../../errors/errors.js';
import type { ParameterType } from '../../types/type-catalog.js';
import type { WireContext } from './batch-parts.js';
import type { Executemany } from './executemany.js';
import { toStep, type Step } from './pg-step.js';
import type { PreparedStatement } from '../prepared/prepared-statements.js';
import { nameAndReasonOf } from '../../../errors/thrown.js';

/** One runs on the server while the next one is made. */
const IN_FLIGHT = 2;

/** The commands of an executemany, page by page: each is made when there is room for it. */
export class ExecutemanyPages {
  readonly #many: Executemany;
  readonly #known: PreparedStatement | undefined;
  readonly #size: number;
  /** How values are written. */
  readonly #context: WireContext;
  /** The first command of the next page. */
  #next = 0;
  /** How many results there are when each page in flight is done. */
  readonly #ends: number[] = [];
  /** Pages that have run. */
  #done = 0;
  #failure: EngineError | undefined;

  /** `known` is what the server said of the text, where it was asked. */
  constructor(many: Executemany, known: PreparedStatement | undefined, size: number, context: WireContext) {
    this.#many = many;
    this.#known = known;
    this.#size = size;
    this.#context = context;
  }

  get hasMore(): boolean {
    return this.#failure === undefined && this.#next < this.#many.commands.length;
  }

  /** The next page can be made and sent. */
  get hasRoom(): boolean {
    return this.hasMore && this.#ends.length < IN_FLIGHT;
  }

  /** How many commands have run. */
  get done(): number {
    return Math.min(this.#done * this.#size, this.#many.commands.length);
  }

  /** Why a page could not be made. The pages before it have run then, as if they had been sent alone. */
  get failure(): EngineError | undefined {
    return this.#failure;
  }

  /** Makes the next page; empty where a value of it can't be sent. */
  take(): readonly Step[] {
    const commands = this.#many.commands.slice(this.#next, this.#next + this.#size);
    this.#next += this.#size;
    try {
      const { serializeJson, types } = this.#context;
      const typeOids = this.#known?.typeOids ?? [];
      const typeOf = (index: number): ParameterType => types.catalog.parameterType(typeOids[index] ?? 0);
      return this.#many
        .page(commands, this.#known)
        .map((command) => toStep(command, serializeJson, false, typeOf));
    } catch (error) {
      this.#failure =
        error instanceof EngineError ? error : new StatementError(nameAndReasonOf(error), { cause: error });
      return [];
    }
  }

  /** A page is on its way; it is done when there are `end` results. */
  sent(end: number): void {
    this.#ends.push(end);
  }

  /** True: with the last of `count` results, a page is done. */
  isDone(count: number): boolean {
    if (this.#ends[0] !== count) return false;
    this.#ends.shift();
    this.#done += 1;
    return true;
  }
}
