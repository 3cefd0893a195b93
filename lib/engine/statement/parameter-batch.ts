import type { CompiledStatement } from './row.js';

/** SQL with `$1` placeholders and its sets of values: an executemany as the driver takes it. */
export class ParameterBatch {
  readonly text: string;
  readonly sets: readonly (readonly unknown[])[];

  constructor(text: string, sets: readonly (readonly unknown[])[]) {
    this.text = text;
    this.sets = sets;
  }
}

/** True: each element is a list of values of its own. */
export function isListOfSets(parameters: readonly unknown[]): parameters is readonly (readonly unknown[])[] {
  // Unlike every(), findIndex() looks at the holes of a list.
  return (
    Array.isArray(parameters) &&
    parameters.length > 0 &&
    parameters.findIndex((element) => !Array.isArray(element)) === -1
  );
}

/** What all executions of an executemany have in common. */
type CommonParts = Omit<CompiledStatement, 'values'>;

/** The executions of one text: their values were taken at the call, and each is made when it is sent. */
export class CompiledSets implements Iterable<CompiledStatement> {
  readonly length: number;
  /** The positions at which some value is an array. */
  readonly arrayPositions: ReadonlySet<number>;
  readonly #common: CommonParts;
  readonly #valuesOf: (set: number) => readonly unknown[];

  constructor(
    common: CommonParts,
    length: number,
    arrayPositions: ReadonlySet<number>,
    valuesOf: (set: number) => readonly unknown[],
  ) {
    this.#common = common;
    this.length = length;
    this.arrayPositions = arrayPositions;
    this.#valuesOf = valuesOf;
  }

  slice(start: number, end = this.length): CompiledStatement[] {
    const made: CompiledStatement[] = [];
    for (let set = start; set < Math.min(end, this.length); set += 1) made.push(this.#make(set));
    return made;
  }

  *[Symbol.iterator](): Iterator<CompiledStatement> {
    for (let set = 0; set < this.length; set += 1) yield this.#make(set);
  }

  #make(set: number): CompiledStatement {
    const { text, control, prepare } = this.#common;
    return { text, values: this.#valuesOf(set), control, prepare };
  }

  /** The same with this `prepare`. */
  preparing(prepare: boolean): CompiledSets {
    return new CompiledSets({ ...this.#common, prepare }, this.length, this.arrayPositions, this.#valuesOf);
  }
}
