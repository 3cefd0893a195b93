/** Something is wrong with a benchmark, or with how it was called; the sentence says what to do. */
export class BenchmarkError extends Error {
  override readonly name = 'BenchmarkError';
}

/** Something cannot take part on this machine; the sentence says what is missing. */
export class AbsentError extends Error {
  override readonly name = 'AbsentError';
}
