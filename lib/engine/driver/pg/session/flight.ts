import { InterfaceError } from '../../../errors/errors.js';
import type { Command, CommandOptions, Control } from '../../driver.js';
import type { PgBatchParts, Question, WireContext } from './batch-parts.js';
import { toStep, type Step, type WireCommand } from './pg-step.js';
import { withSetLocal } from './set-local.js';

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

/** The steps of `flight`, its control in front. */
export function stepsOf({ control, commands }: Flight, context: WireContext): Step[] {
  const encoding = context.reported.get('client_encoding');
  if (encoding !== 'UTF8') expectUtf8(encoding, control, commands);
  const { serializeJson, settingsAs } = context;
  const sent = settingsAs === 'set local' ? withSetLocal(control) : control;
  const steps = sent.map((one) => toStep(one, serializeJson, true));
  for (const command of commands) steps.push(toStep(command, serializeJson));
  return steps;
}

/** What the application has sent; undefined for what continues it. */
export function textOf({ commands: [first], many }: Flight): string | undefined {
  if (first === undefined) return many?.executemany.first.text;
  return first.bound === undefined ? first.text : undefined;
}

/** Refuses, in a session of another encoding, all but what ends that or a transaction. */
function expectUtf8(
  encoding: string | undefined,
  control: readonly Control[],
  commands: readonly Command[],
): void {
  if (encoding === undefined || encoding === 'SQL_ASCII' || control.length + commands.length === 0) return;
  if (commands.every(({ text }) => /^\s*(?:SET|RESET|DISCARD|COMMIT|ROLLBACK|RELEASE)\b/i.test(text))) return;
  throw new InterfaceError(
    `the session's client_encoding is ${encoding} and values are read and written in UTF8. ` +
      `Run RESET client_encoding, or leave that setting out.`,
    { statement: commands[0]?.text },
  );
}
