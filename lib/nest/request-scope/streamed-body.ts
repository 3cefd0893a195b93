import { StreamableFile } from '@nestjs/common';

/**
 * Whether a handler's value is a body that is sent while it is produced, after the interceptors have ended.
 */
export function isStreamedBody(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (value instanceof StreamableFile) return true;
  // A web Response, a ReadableStream, an async iterable or generator, a Node stream.
  return (
    'getReader' in value || Symbol.asyncIterator in value || 'pipe' in value || value instanceof Response
  );
}
