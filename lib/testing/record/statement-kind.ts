/**
 * What a statement does to the transaction around it; `other`: savepoints and what else is no work of the
 * application.
 */
export type ControlWord = 'begin' | 'commit' | 'rollback' | 'rollback-to' | 'other';

const FORMS: readonly (readonly [RegExp, ControlWord])[] = [
  [/^\s*(?:BEGIN|START\s+TRANSACTION)\b/i, 'begin'],
  [/^\s*(?:COMMIT|END)\b/i, 'commit'],
  [/^\s*(?:ROLLBACK|ABORT)(?:\s+(?:WORK|TRANSACTION))?\s+TO\b/i, 'rollback-to'],
  [/^\s*(?:ROLLBACK|ABORT)\b/i, 'rollback'],
  [/^\s*(?:SAVEPOINT|RELEASE)\b/i, 'other'],
];

/** Undefined for a statement that is no transaction control. */
export function controlWord(text: string): ControlWord | undefined {
  return FORMS.find(([pattern]) => pattern.test(text))?.[1];
}
