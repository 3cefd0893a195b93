/** The one function of `pg` that its types leave out: JavaScript value → what Bind carries. */
declare module 'pg/lib/utils.js' {
  export function prepareValue(value: unknown): string | Buffer | null;
}
