import { InterfaceError } from '../../../errors/errors.js';
import type { CommitWitness } from '../../commit-witness.js';
import type { Command, CommandOptions, Control, ServerStatus } from '../../driver.js';
import type { PgBatchParts, Question } from './batch-parts.js';
import { toStep, type WireCommand } from './pg-step.js';

/** What leaves as one task. */
export interface Flight {
  readonly control: readonly Control[];
  readonly commands: readonly WireCommand[];
  readonly many?: PgBatchParts['many'];
  readonly closePortals?: readonly string[];
  readonly options?: CommandOptions | undefined;
  readonly isAtomic?: boolean;
  readonly refusal?: PgBatchParts['refusal'];
  readonly question?: Question;
}

/** What the application has sent; undefined for what continues it. */
export function textOf({ commands: [first], many }: Flight): string | undefined {
  if (first === undefined) return many?.executemany.first.text;
  return first.bound === undefined ? first.text : undefined;
}

/** In a transaction, its id is asked for behind what may change something. */
export function questionBehind(
  witness: CommitWitness,
  status: ServerStatus,
  control: readonly Control[],
  commands: readonly Command[],
): Question | undefined {
  const isInside = status === 'open' || control.some(({ kind }) => kind === 'begin');
  const question = isInside ? witness.questionBehind(commands) : undefined;
  return question && { ...question, step: toStep(question.command, undefined, true) };
}

/** Refuses, in a session of another encoding, all but what ends that or a transaction. */
export function expectUtf8(
  encoding: string,
  control: readonly Control[],
  commands: readonly Command[],
): void {
  if (encoding === 'SQL_ASCII' || control.length + commands.length === 0) return;
  if (commands.every(({ text }) => /^\s*(?:SET|RESET|DISCARD|COMMIT|ROLLBACK|RELEASE)\b/i.test(text))) return;
  throw new InterfaceError(
    `the session's client_encoding is ${encoding} and values are read and written in UTF8. ` +
      `Run RESET client_encoding, or leave that setting out.`,
    { statement: commands[0]?.text },
  );
}
