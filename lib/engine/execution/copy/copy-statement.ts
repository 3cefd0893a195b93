import type { Command, CopySink, CopySource } from '../../driver/driver.js';
import { ArgumentError } from '../../errors/errors.js';
import { compileStatement } from '../../statement/compile.js';
import type { Executable, QueryConfig } from '../../statement/executable.js';
import type { CompiledStatement } from '../../statement/row.js';
import type { SchemaTranslateMap } from '../../statement/sql-fragment.js';
import { splitScript } from '../../statement/split-script.js';
import { describeValue } from '../../util/describe-value.js';

const FORMS = {
  from: { pattern: /\bFROM\s+STDIN\b/i, call: 'copyFrom()', form: 'COPY … FROM STDIN' },
  to: { pattern: /\bTO\s+STDOUT\b/i, call: 'copyTo()', form: 'COPY … TO STDOUT' },
} as const;

/** A COPY with the rows that it takes or gives. */
export class CopyStatement implements QueryConfig {
  readonly text: string;
  readonly #statement: Executable<unknown>;
  readonly #copy: CopySource | CopySink;

  /** @throws ArgumentError for what is not a COPY in the direction of `copy`. */
  constructor(sql: string | Executable<unknown>, copy: CopySource | CopySink) {
    this.#statement = typeof sql === 'string' ? { text: sql } : sql;
    this.#copy = copy;
    this.text = this.commandFor(undefined).text;
  }

  /** What is sent, with the names of its schemas translated. */
  commandFor(schemas: SchemaTranslateMap | undefined): CompiledStatement & Pick<Command, 'copy'> {
    const statement = compileStatement(this.#statement, undefined, undefined, schemas);
    const { text, values } = statement;
    const { pattern, call, form } = FORMS[this.#copy.direction];
    if (splitScript(text)[0]?.words[0] !== 'COPY' || !pattern.test(text))
      throw new ArgumentError(`${call} needs a ${form} statement; got ${describeValue(text)}.`);
    if (values.length > 0)
      throw new ArgumentError(
        `COPY takes no parameters. Write sql.id() for names and sql.raw() for the rest.`,
      );
    return { ...statement, copy: this.#copy };
  }
}
