import { DBAPIError } from '../../../engine/index.js';
import { hideValues } from '../../../engine/errors/hidden-values.js';
import { nameAndReasonOf } from '../../../engine/errors/thrown.js';

/** An error for the page, whose readers have the SQL of the statement already. */
export function errorText(error: unknown, parameters: unknown, showValues: boolean): string {
  if (showValues || !(error instanceof DBAPIError)) return nameAndReasonOf(error);
  const [said = ''] = error.message.split(/\n\[(?:SQL|parameters): /);
  return `${error.name}: ${hideValues(said, error.sqlState, parameters)}`;
}
