import type { AsyncResult, AsyncTupleResult } from '../engine/index.js';
import { csvField, toJson } from './row-text.js';

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

export class NdjsonFormat implements RowFormat {
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

export class JsonFormat implements RowFormat {
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

export interface CsvOptions {
  readonly header?: boolean | undefined;
  readonly byteOrderMark?: boolean | undefined;
  readonly escapeFormulas?: boolean | undefined;
}

/** Rows by position: two columns may share a name. */
export class CsvFormat implements RowFormat<readonly unknown[]> {
  readonly contentType = 'text/csv; charset=utf-8';
  readonly #result: AsyncTupleResult;
  readonly #options: CsvOptions;

  constructor(result: AsyncResult<unknown>, options: CsvOptions) {
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
