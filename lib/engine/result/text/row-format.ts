import { ArgumentError } from '../../errors.js';
import type { AsyncResult } from '../async-result.js';
import type { AsyncTupleResult } from '../async-tuple-result.js';
import { csvField, toJson } from './row-text.js';

/** How rows are written. */
export interface RowTextOptions {
  /** `ndjson`: a JSON object per line. `csv`: RFC 4180 with a header line. `json`: one array. */
  readonly format: 'ndjson' | 'csv' | 'json';
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

/** How a stream of rows becomes text. `Element` is what `read` gives, and `write` takes. */
export interface RowFormat<Element = unknown> {
  readonly contentType: string;
  /** The next elements; none at the end. */
  read(): Promise<readonly Element[]>;
  /** What comes before the first element. */
  begin(): Promise<string>;
  write(element: Element, isFirst: boolean): string;
  /** What comes after the last element. */
  end(): string;
}

class NdjsonFormat implements RowFormat {
  readonly contentType = 'application/x-ndjson; charset=utf-8';
  readonly #result: AsyncResult<unknown>;

  constructor(result: AsyncResult<unknown>) {
    this.#result = result;
  }

  read(): Promise<readonly unknown[]> {
    return this.#result.fetchMany();
  }

  begin(): Promise<string> {
    return Promise.resolve('');
  }

  write(row: unknown): string {
    return `${toJson(row)}\n`;
  }

  end(): string {
    return '';
  }
}

class JsonFormat implements RowFormat {
  readonly contentType = 'application/json; charset=utf-8';
  readonly #result: AsyncResult<unknown>;

  constructor(result: AsyncResult<unknown>) {
    this.#result = result;
  }

  read(): Promise<readonly unknown[]> {
    return this.#result.fetchMany();
  }

  begin(): Promise<string> {
    return Promise.resolve('[');
  }

  write(row: unknown, isFirst: boolean): string {
    return isFirst ? toJson(row) : `,\n${toJson(row)}`;
  }

  end(): string {
    return ']\n';
  }
}

/** Rows by position: two columns may share a name. */
class CsvFormat implements RowFormat<readonly unknown[]> {
  readonly contentType = 'text/csv; charset=utf-8';
  readonly #result: AsyncTupleResult;
  readonly #options: RowTextOptions;

  constructor(result: AsyncResult<unknown>, options: RowTextOptions) {
    this.#result = result.tuples();
    this.#options = options;
  }

  read(): Promise<readonly (readonly unknown[])[]> {
    return this.#result.fetchMany();
  }

  async begin(): Promise<string> {
    const { header = true, byteOrderMark = false } = this.#options;
    const mark = byteOrderMark ? '\ufeff' : '';
    return header ? mark + this.write(await this.#result.keys()) : mark;
  }

  write(row: readonly unknown[]): string {
    const { escapeFormulas = false } = this.#options;
    return `${row.map((value) => csvField(value, escapeFormulas)).join(',')}\r\n`;
  }

  end(): string {
    return '';
  }
}

/** @throws ArgumentError for a format that there is not. */
export function formatOf(result: AsyncResult<unknown>, options: RowTextOptions): RowFormat {
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
