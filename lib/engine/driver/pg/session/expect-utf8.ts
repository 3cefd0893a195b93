import { InterfaceError } from '../../../errors/errors.js';
import type { Command, Control } from '../../driver.js';

/** Refuses, in a session of another encoding, all but what ends that or a transaction. */
export function expectUtf8(
  encoding: string | undefined,
  control: readonly Control[],
  commands: readonly Command[],
): void {
  if (
    encoding === undefined ||
    encoding === 'UTF8' ||
    encoding === 'SQL_ASCII' ||
    control.length + commands.length === 0
  )
    return;
  if (commands.every(({ text }) => /^\s*(?:SET|RESET|DISCARD|COMMIT|ROLLBACK|RELEASE)\b/i.test(text))) return;
  throw new InterfaceError(
    `the session's client_encoding is ${encoding} and values are read and written in UTF8. ` +
      `Run RESET client_encoding, or leave that setting out.`,
    { statement: commands[0]?.text },
  );
}
