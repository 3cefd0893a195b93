/**
 * Makes an error of a timer or of a signal that ends waits: no frame of its stack is of the code that waits,
 * and for one of thousands that end together the frames take longer than all else.
 */
export function withoutFrames<E extends Error>(make: () => E): E {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return make();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
