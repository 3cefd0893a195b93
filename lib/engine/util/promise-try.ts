/** Calls `work`; an error that it throws synchronously becomes a rejection. */
export function promiseTry<T>(work: () => Promise<T>): Promise<T> {
  try {
    return work();
  } catch (error) {
    return Promise.reject(error);
  }
}

const DONE = Promise.resolve();

/** The same for work that answers `undefined` where there is nothing to wait for. */
export function settled(work: () => Promise<void> | undefined): Promise<void> {
  return promiseTry(() => work() ?? DONE);
}
