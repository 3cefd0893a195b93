import { replaceOpaque } from './skip-literal.js';

/**
 * Words in front of a bracket that are no functions, and built-in functions that only look at their
 * arguments.
 */
const HARMLESS =
  ' all and any array as between by case distinct else except exists filter from group having in inner intersect' +
  ' interval is join lateral left limit not null offset on or order outer over partition right select some then' +
  ' union using values when where within' +
  ' abs age array_agg array_length avg bool_and bool_or btrim cardinality cast ceil char_length coalesce concat' +
  ' concat_ws count date date_part date_trunc dense_rank every extract first_value floor format greatest initcap' +
  ' json_agg json_build_array json_build_object json_object_agg jsonb_agg jsonb_build_array jsonb_build_object' +
  ' jsonb_object_agg lag last_value lead least length lower lpad ltrim max md5 min mod now nullif octet_length' +
  ' position power rank regexp_replace repeat replace reverse round row row_number row_to_json rpad rtrim sign' +
  ' split_part sqrt string_agg strpos substr substring sum to_char to_date to_json to_jsonb to_timestamp translate' +
  ' trim trunc unnest upper ';

/** A row lock waits for other transactions, INTO makes a table, and a semicolon begins another statement. */
const MORE_THAN_A_READ = /;|\binto\b|\bfor\s+(?:no\s+key\s+update|update|key\s+share|share)\b/i;
// Only from the first character of a word: a long one would be scanned once for each of its characters.
const CALL = /((?<![\w$.\u0080-\uffff])[\w$.\u0080-\uffff]+|")\s*\(/g;

/**
 * True for a SELECT that reads and does nothing else: it takes no row lock and calls no function but known
 * ones, so that it may be sent twice, and waits for no row of another transaction. What is not understood is
 * not a plain read.
 */
export function isPlainRead(sql: string): boolean {
  if (!/^\s*select\b/i.test(sql)) return false;
  // A quoted identifier leaves its quote: the name of a function may be one.
  const code = replaceOpaque(sql, (opaque) => (opaque.startsWith('"') ? '"' : ' '));
  if (MORE_THAN_A_READ.test(code)) return false;
  return [...code.matchAll(CALL)].every(([, name = '']) => HARMLESS.includes(` ${name.toLowerCase()} `));
}
