import pg from 'pg';
import { InterfaceError } from '../../../errors/errors.js';
import type { TypeParser } from '../../types/types.js';

const DATE_OID: number = 1082;
const TIMESTAMP_OID: number = 1114;
const TIMESTAMPTZ_OID: number = 1184;
const INTERVAL_OID: number = 1186;

const DATE = /^(?:\d{4,}-\d\d-\d\d(?: BC)?|-?infinity)$/;
const INTERVAL =
  /^(?:[+-]?\d+ years?\s?)?(?:[+-]?\d+ mons?\s?)?(?:[+-]?\d+ days?\s?)?(?:[+-]?\d+:\d\d:\d\d(?:\.\d+)?)?$/;

/** The styles that values are read in, by the setting that says them: what PostgreSQL begins with. */
export const READ_STYLES: ReadonlyMap<string, string> = new Map([
  ['DateStyle', 'ISO'],
  ['IntervalStyle', 'postgres'],
]);

/** The value is written in a style of the session that values are not read in. */
function foreignStyle(setting: 'DateStyle' | 'IntervalStyle'): InterfaceError {
  return new InterfaceError(
    `the session writes a value in another ${setting} than '${READ_STYLES.get(setting)}'. ` +
      `Leave ${setting} as the engine sets it, or convert the value with to_char().`,
  );
}

const parseDate: TypeParser = (text) => {
  if (!DATE.test(text)) throw foreignStyle('DateStyle');
  return text;
};

/** The year 0 of a `Date`, which JavaScript's own parsing takes for 1900: that has no leap day. */
const YEAR_ZERO = /^0001(-.* BC)$/;
/** After so long a time, the calendar is the same again. */
const FOUR_CENTURIES = 146_097 * 86_400_000;
const ISO_MOMENT = /^\d{4,}-\d\d-\d\d \d\d:/;

function beyondDate(text: string): InterfaceError {
  return new InterfaceError(
    `${text} is beyond what a Date can hold, which ends in the year 275760. Read it as text: column::text.`,
  );
}

/** A `Date`, or a number that is infinite. */
function parserOfMoments(oid: number): TypeParser {
  const parse = pg.types.getTypeParser(oid, 'text') as (text: string) => unknown;
  return (text) => {
    const inYearZero = YEAR_ZERO.exec(text);
    if (inYearZero !== null)
      return new Date((parse(`0401${inYearZero[1]}`) as Date).getTime() + FOUR_CENTURIES);
    const moment = parse(text);
    if (moment instanceof Date && Number.isNaN(moment.getTime()) && ISO_MOMENT.test(text))
      throw beyondDate(text);
    if (moment === null || (moment instanceof Date && Number.isNaN(moment.getTime())))
      throw foreignStyle('DateStyle');
    return moment;
  };
}

const parsePlainInterval = pg.types.getTypeParser(INTERVAL_OID, 'text') as TypeParser;

/** From version 17 on, an interval may be infinite: then it is a number, as an infinite timestamp is. */
const parseInterval: TypeParser = (text) => {
  if (text !== '' && INTERVAL.test(text)) return parsePlainInterval(text);
  if (text === 'infinity') return Number.POSITIVE_INFINITY;
  if (text === '-infinity') return Number.NEGATIVE_INFINITY;
  throw foreignStyle('IntervalStyle');
};

/**
 * Parsers of the types whose text depends on a style of the session: they refuse what is not in the style.
 */
export const STYLED_PARSERS: ReadonlyMap<number, TypeParser> = new Map([
  [DATE_OID, parseDate],
  [TIMESTAMP_OID, parserOfMoments(TIMESTAMP_OID)],
  [TIMESTAMPTZ_OID, parserOfMoments(TIMESTAMPTZ_OID)],
  [INTERVAL_OID, parseInterval],
]);
