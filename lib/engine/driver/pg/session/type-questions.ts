import { dependsOnType } from '../wire/encode-value.js';
import type { JsonSerializer } from '../wire/json-text.js';
import type { Executemany } from './executemany.js';
import { toStep, type Step } from './pg-step.js';
import type { PgStepWriter } from './pg-step-writer.js';
import type { PreparedStatement } from '../prepared/prepared-statements.js';

/**
 * What a batch has to ask the server before it can write its values: the types of the parameters of texts.
 */
export class TypeQuestions {
  readonly #writer: PgStepWriter;
  readonly #serializeJson: JsonSerializer | undefined;
  /** In the order of the answers. */
  readonly #asked: { readonly step: Step; readonly statement: PreparedStatement }[] = [];

  constructor(writer: PgStepWriter, serializeJson: JsonSerializer | undefined) {
    this.#writer = writer;
    this.#serializeJson = serializeJson;
  }

  get isAnswered(): boolean {
    return this.#asked.length === 0;
  }

  /** The one that the server answers now. */
  get current(): Step | undefined {
    return this.#asked[0]?.step;
  }

  /** A step for each text of which nothing is known. */
  of(
    steps: readonly Step[],
    many: { readonly executemany: Executemany; readonly pageSize: number } | undefined,
  ): readonly Step[] {
    const unknown = steps.filter((step) => step.needsTypes && !this.#writer.isReady(step));
    if (many?.executemany.needsTypes !== true) return unknown;
    const { commands, first } = many.executemany;
    const known = this.knownOf(many.executemany);
    if (known !== undefined && this.#fits(known, many.executemany)) return unknown;
    // Refused before anything is sent, as any first page is.
    for (const command of commands.slice(0, many.pageSize)) toStep(command, this.#serializeJson);
    return [...unknown, toStep(first, this.#serializeJson)];
  }

  #fits(known: PreparedStatement, executemany: Executemany): boolean {
    if (this.#writer.refusesLists(known, (index) => executemany.dependsOnType(index))) return false;
    return this.#writer.keepsAll(known, executemany.commands);
  }

  knownOf(executemany: Executemany): PreparedStatement | undefined {
    return this.#writer.known(executemany.first.text, (index) => executemany.dependsOnType(index));
  }

  ask(steps: readonly Step[]): void {
    for (const step of steps) {
      const statement = this.#writer.ask(step);
      if (statement !== undefined) this.#asked.push({ step, statement });
    }
  }

  /** The answer to the first of them; false where nothing was asked. */
  handleTypes(typeOids: readonly number[], executemany: Executemany | undefined): boolean {
    const asked = this.#asked.shift();
    if (asked === undefined) return false;
    this.#writer.handleTypes(asked.statement, typeOids, (index) =>
      executemany === undefined
        ? dependsOnType(asked.step.parameters[index])
        : executemany.dependsOnType(index),
    );
    return true;
  }
}
