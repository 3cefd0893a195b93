import { replaceOpaque } from '../../../statement/skip-literal.js';

/** PostgreSQL ignores signs around the word: 'now()' is the moment, too. */
const MOMENT = /\b(?:now|today|tomorrow|yesterday)\b/i;

/** True: it has a literal that is evaluated while it is parsed: a named statement would keep the moment. */
export function hasMoment(sql: string): boolean {
  if (!MOMENT.test(sql)) return false;
  let isFound = false;
  replaceOpaque(sql, (opaque) => {
    isFound ||= /^['$]/.test(opaque) && MOMENT.test(opaque);
    return '';
  });
  return isFound;
}
