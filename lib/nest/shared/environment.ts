/** What NODE_ENV says. Any `other` name may be that of production: prod, Production, live, staging. */
export function environment(): { readonly name: string; readonly kind: 'development' | 'unset' | 'other' } {
  const name = process.env['NODE_ENV'] ?? '';
  if (name === 'development' || name === 'test') return { name, kind: 'development' };
  return { name, kind: name.trim() === '' ? 'unset' : 'other' };
}
