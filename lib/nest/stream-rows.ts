import { StreamableFile } from '@nestjs/common';
import { ArgumentError, type AsyncResult } from '../engine/index.js';
import { attachmentDisposition } from './content-disposition.js';
import { CsvFormat, JsonFormat, NdjsonFormat, type RowFormat } from './row-format.js';
import { RowsReadable } from './rows-readable.js';

/** How rows are written to a response. */
export interface StreamRowsOptions {
  /** `ndjson`: a JSON object per line. `csv`: RFC 4180 with a header line. `json`: one array. */
  readonly format: 'ndjson' | 'csv' | 'json';
  /** The name under which a browser saves the file; without it nothing is said about saving. Any characters. */
  readonly filename?: string | undefined;
  /** CSV only: the line of column names. Default true. */
  readonly header?: boolean | undefined;
  /** CSV only: begins with a byte order mark, without which Excel does not take the file for UTF-8. Default false. */
  readonly byteOrderMark?: boolean | undefined;
  /**
   * CSV only: puts an apostrophe before text that a spreadsheet would take for a formula (it begins with `=`, `+`, `-`, `@`, a tab or a
   * carriage return, and is no number). Default false: values are written as they are. Set it when people type the values and
   * other people open the file in a spreadsheet.
   */
  readonly escapeFormulas?: boolean | undefined;
}

/**
 * Sends the rows of a stream as the body of a response: `return streamRows(engine.stream(statement), { format: 'csv' })`.
 *
 * Memory stays flat: rows are fetched as the client reads them, and many go into one chunk. When the client hangs up, the cursor is
 * closed. An error after the first chunk cuts the connection, so that no client takes the part for the whole; one before it is
 * answered with 500. To have it in an exception filter instead, `await result.open()` first.
 *
 * In all formats dates are ISO 8601, `bytea` is base64, and a `bigint` keeps its digits (as a string in JSON). In JSON, NaN and
 * infinities are null; of columns with the same name the last wins. In CSV, lines end in CRLF, NULL is an empty field and an empty string
 * is `""`, objects and arrays are JSON, and columns with the same name are all there.
 *
 * @throws ArgumentError for another format.
 */
export function streamRows<R>(result: AsyncResult<R>, options: StreamRowsOptions): StreamableFile {
  const format = formatOf(result, options);
  const { filename } = options;
  const file = new StreamableFile(new RowsReadable(result, format), {
    type: format.contentType,
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

function formatOf(result: AsyncResult<unknown>, options: StreamRowsOptions): RowFormat {
  const { format } = options;
  switch (format) {
    case 'csv':
      return new CsvFormat(result, options);
    case 'json':
      return new JsonFormat(result);
    case 'ndjson':
      return new NdjsonFormat(result);
    default:
      format satisfies never;
      throw new ArgumentError(`format is '${String(format)}': it takes ndjson, csv or json.`);
  }
}
