import { describe, expect, it } from 'vitest';
import { makeUrl } from '../../../../lib/engine/driver/url/url.js';

describe('the query', () => {
  const url = makeUrl('postgresql://h/d?p=1&q=2&q=3');

  it.each([
    ['replaces', url.updateQueryDict({ q: '9', r: '8' }), '?p=1&q=9&r=8'],
    ['appends', url.updateQueryDict({ q: '9', r: '8' }, { append: true }), '?p=1&q=2&q=3&q=9&r=8'],
    ['replaces from text', url.updateQueryString('q=a+b&q=c'), '?p=1&q=a+b&q=c'],
    ['appends from text', url.updateQueryString('p=4', { append: true }), '?p=1&p=4&q=2&q=3'],
    ['ignores a name without a value', url.updateQueryString('p='), '?p=1&q=2&q=3'],
    [
      'replaces from pairs',
      url.updateQueryPairs([
        ['q', '9'],
        ['q', '8'],
      ]),
      '?p=1&q=9&q=8',
    ],
    ['removes a name', url.differenceUpdateQuery(['q']), '?p=1'],
    ['removes all names', url.differenceUpdateQuery(['q', 'p']), ''],
  ])('PU-08 appendix B: %s', (_, changed, query) => {
    expect(String(changed)).toBe(`postgresql://h/d${query}`);
  });

  it('is the same object when nothing was to be removed', () => {
    expect(url.differenceUpdateQuery(['zz'])).toBe(url);
  });

  it('PU-05 has a normalized form in which every value is a list', () => {
    expect(url.normalizedQuery).toEqual({ p: ['1'], q: ['2', '3'] });
  });
});
