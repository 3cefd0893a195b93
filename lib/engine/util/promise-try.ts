/** Calls `work`; what it throws at once rejects, like all else that fails in it. */
export function promised<T>(work: () => Promise<T>): Promise<T> {
  try {
    return work();
  } catch (error) {
    return Promise.reject(error);
  }
}
