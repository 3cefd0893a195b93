import { StreamedResult } from './streamed-result.js';

/**
 * The values of one column over a server-side cursor; made by `scalars()`. NULL is a value like any other:
 * `null`.
 */
export class AsyncScalarResult<T = unknown> extends StreamedResult<T> {}
