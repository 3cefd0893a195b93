import { BufferedResult } from './buffered-result.js';

/** The values of one column, in memory; made by `scalars()`. NULL is a value like any other: `null`. */
export class ScalarResult<T = unknown> extends BufferedResult<T> {}
