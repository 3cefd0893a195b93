import { StreamableFile } from '@nestjs/common';
import { RowTextStream, type AsyncResult, type RowTextOptions } from '../../engine/index.js';
import { rowTextRules } from '../../engine/result/text/row-format.js';
import { wordRule } from '../../engine/util/option-rule.js';
import { OptionTable } from '../../engine/util/option-table.js';
import { attachmentDisposition } from './content-disposition.js';

/** How rows are written to a response. */
export interface StreamRowsOptions extends RowTextOptions {
  /**
   * The name under which a browser saves the file; without it nothing is said about saving. Any characters.
   */
  readonly filename?: string | undefined;
}

/** In ms: a client that takes nothing for so long must not keep a connection of the pool. */
const READ_TIMEOUT = 60_000;

const STREAM_ROWS_OPTIONS = new OptionTable<StreamRowsOptions>(
  'streamRows',
  { ...rowTextRules, filename: wordRule },
  'refused',
);

/**
 * Sends the rows of a stream as the body of a response: `return streamRows(engine.stream(statement), {
 * format: 'csv' })`.
 *
 * Written as {@link RowTextStream} says. When the client hangs up, or takes nothing for
 * `readTimeout` (60,000 ms), the cursor is closed. An error after the
 * first chunk cuts the connection, so that no client takes the part for the whole; one before it is answered
 * with 500. To have it in an exception filter instead, `await result.open()` first.
 *
 * @throws ArgumentError for another format.
 *
 * @example
 * ```ts
 * @Get('events.csv')
 * events(): StreamableFile {
 *   const rows = this.engine.stream(sql`SELECT * FROM events`);
 *   return streamRows(rows, { format: 'csv', filename: 'events.csv' });
 * }
 * ```
 */
export function streamRows<R>(result: AsyncResult<R>, options: StreamRowsOptions): StreamableFile {
  const { filename, readTimeout = READ_TIMEOUT, ...text } = STREAM_ROWS_OPTIONS.parse(options);
  const rows = new RowTextStream(result, { ...text, readTimeout });
  const file = new StreamableFile(rows, {
    type: rows.contentType,
    ...(filename !== undefined && { disposition: attachmentDisposition(filename) }),
  });
  const { errorHandler } = file;
  // Nest's own answers 400 to a failure before the first chunk, as if the request had been wrong.
  return file.setErrorHandler((error, response) => {
    if (response.destroyed || response.headersSent) return errorHandler(error, response);
    file.errorLogger(error);
    response.statusCode = 500;
    response.send('Internal Server Error');
  });
}
