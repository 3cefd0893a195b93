import { ArgumentError } from '../../errors/errors.js';
import type { AsyncResult, AsyncTupleResult } from '../async-result.js';
import { durationRule, flagRule, LONGEST_TIMER, oneOf } from '../../util/option-rule.js';
import { OptionTable, type OptionRules } from '../../util/option-table.js';
import { csvField, toJson } from './row-text.js';

/** How rows are written. */
export interface RowTextOptions {
  /** `ndjson`: a JSON object per line. `csv`: RFC 4180 with a header line. `json`: one array. */
  readonly format: 'ndjson' | 'csv' | 'json';
  /** CSV only: the line of column names. Default true. */
  readonly header?: boolean | undefined;
  /**
   * CSV only: begins with a byte order mark, without which Excel does not take the file for UTF-8. Default
   * false.
   */
  readonly byteOrderMark?: boolean | undefined;
  /**
   * CSV only: quotes every text, and puts an apostrophe before one that a spreadsheet would take for a
   * formula: it begins with `=`, `+`, `-`, `@` or their full-width forms, also behind white space, and is not
   * a number. Names of columns too. Default false: values are written as they are. Set it when people type
   * the values and other people open the file in a spreadsheet.
   */
  readonly escapeFormulas?: boolean | undefined;
  /**
   * Closes the stream, and with it its cursor, when its reader takes nothing for so many milliseconds.
   * Default: no limit; of `streamRows` 60,000.
   */
  readonly readTimeout?: number | undefined;
}

/** What each option of rows as text may be. */
export const rowTextRules: OptionRules<RowTextOptions> = {
  format: oneOf('ndjson', 'csv', 'json'),
  header: flagRule,
  byteOrderMark: flagRule,
  escapeFormulas: flagRule,
  readTimeout: durationRule(1, `milliseconds from 1 to ${LONGEST_TIMER}`),
};

export const ROW_TEXT_OPTIONS = new OptionTable<RowTextOptions>('RowTextStream', rowTextRules, 'refused');

/** How a stream of rows becomes text. `Element` is what `read` gives, and `write` takes. */
export interface RowFormat<Element = unknown> {
  readonly contentType: string;
  /** The next elements, or their text; none at the end. */
  read(): Promise<readonly Element[] | Buffer>;
  /** What comes before the first element. */
  begin(): Promise<string>;
  write(element: Element, isFirst: boolean): string;
  /** What comes after the last element. */
  end(): string;
}

/** Where elements come from. */
interface Elements<Element> {
  fetchMany(): Promise<readonly Element[]>;
}

/** Nothing comes before the first element and behind the last, unless a format says so. */
abstract class ElementFormat<Element, Source extends Elements<Element>> implements RowFormat<Element> {
  abstract readonly contentType: string;
  protected readonly source: Source;

  constructor(source: Source) {
    this.source = source;
  }

  read(): Promise<readonly Element[] | Buffer> {
    return this.source.fetchMany();
  }

  begin(): Promise<string> {
    return Promise.resolve('');
  }

  abstract write(element: Element, isFirst: boolean): string;

  end(): string {
    return '';
  }
}

class NdjsonFormat extends ElementFormat<unknown, AsyncResult<unknown>> {
  readonly contentType = 'application/x-ndjson; charset=utf-8';

  write(row: unknown): string {
    return `${toJson(row)}\n`;
  }
}

class JsonFormat extends ElementFormat<unknown, AsyncResult<unknown>> {
  readonly contentType = 'application/json; charset=utf-8';

  override begin(): Promise<string> {
    return Promise.resolve('[');
  }

  write(row: unknown, isFirst: boolean): string {
    return isFirst ? toJson(row) : `,\n${toJson(row)}`;
  }

  override end(): string {
    return ']\n';
  }
}

const plainField = (value: unknown): string => csvField(value, false);

/** Rows by position: two columns may share a name. */
class CsvFormat extends ElementFormat<readonly unknown[], AsyncTupleResult> {
  readonly contentType = 'text/csv; charset=utf-8';
  readonly #options: RowTextOptions;
  #first: Promise<readonly unknown[][] | Buffer> | undefined;

  constructor(result: AsyncResult<unknown>, options: RowTextOptions) {
    super(result.tuples());
    this.#options = options;
  }

  override async begin(): Promise<string> {
    const { header = true, byteOrderMark = false } = this.#options;
    const mark = byteOrderMark ? '\ufeff' : '';
    if (!header) return mark;
    // A caller that asks for the names first has asked for rows that are no text.
    this.#first = this.read();
    await this.#first;
    return mark + this.write(await this.source.keys());
  }

  override read(): Promise<readonly unknown[][] | Buffer> {
    const first = this.#first;
    this.#first = undefined;
    if (first !== undefined) return first;
    return this.#options.escapeFormulas === true ? this.source.fetchMany() : this.source.fetchCsv(plainField);
  }

  write(row: readonly unknown[]): string {
    const { escapeFormulas = false } = this.#options;
    return `${row.map((value) => csvField(value, escapeFormulas)).join(',')}\r\n`;
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
      throw new ArgumentError(`format is '${String(format)}': it must be ndjson, csv or json.`);
  }
}
