import { quoteIdentifier } from '../../../statement/identifier.js';
import { quoteLiteral } from '../../../statement/literal.js';
import type { SettingAssignment, Control } from '../../driver.js';

/** Settings whose values are lists of names: a list in one literal would be one name. */
const NAME_LISTS: ReadonlySet<string> = new Set(['search_path', 'temp_tablespaces']);
/** A name in quotes, or one without. */
const LISTED = /"((?:[^"]|"")*)"|([^\s,"]+)/g;

/** By the function, whose values are bound, or by the command, which a coordinator hands on. */
export type SettingsAs = 'set_config' | 'set local';

/** `control` with each setting by a SET LOCAL of its own. */
export function withSetLocal(control: readonly Control[]): readonly Control[] {
  return control.flatMap((one) => (one.assignments === undefined ? one : setLocal(one, one.assignments)));
}

function setLocal(control: Control, assignments: readonly SettingAssignment[]): Control[] {
  return assignments.map(([name, value]) => ({
    acknowledged: () => control.acknowledged?.(),
    kind: 'settings',
    text: `SET LOCAL ${quotedName(name)} TO ${value === undefined ? 'DEFAULT' : valueOf(name, value)}`,
    prepare: false,
    settings: [name],
  }));
}

function quotedName(name: string): string {
  return name.split('.').map(quoteIdentifier).join('.');
}

function valueOf(name: string, value: string): string {
  if (!NAME_LISTS.has(name.toLowerCase())) return quoteLiteral(value);
  const names = [...value.matchAll(LISTED)].map(([, quoted, plain = '']) =>
    quoted === undefined ? plain.toLowerCase() : quoted.replaceAll('""', '"'),
  );
  return names.length === 0 ? quoteLiteral('') : names.map(quoteLiteral).join(', ');
}
