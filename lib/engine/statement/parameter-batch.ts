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
