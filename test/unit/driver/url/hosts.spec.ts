import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../../../../lib/engine/errors/errors.js';
import { DatabaseUrl, makeUrl, type HostAddress } from '../../../../lib/engine/driver/url/url.js';

const B = 'postgresql://u1:p1@/d1';
const F = 'postgresql://u1:p1@fix/d1';
const G = 'postgresql://u1:p1@fix:7000/d1';

const RESOLVED: readonly (readonly [string, readonly HostAddress[]])[] = [
  [B, []],
  [F, [{ host: 'fix' }]],
  [G, [{ host: 'fix', port: 7000 }]],
  [`${B}?host=n1:abc`, [{ host: 'n1:abc' }]],
  [`${B}?host=n1:123.456`, [{ host: 'n1:123.456' }]],
  [`${B}?host=10.1.2.3`, [{ host: '10.1.2.3' }]],
  [`${B}?host=10.1.2.3:`, [{ host: '10.1.2.3' }]],
  [`${B}?host=10.1.2.3:6001`, [{ host: '10.1.2.3', port: 6001 }]],
  [`${B}?host=n1:`, [{ host: 'n1' }]],
  [`${B}?host=N1:6001`, [{ host: 'N1', port: 6001 }]],
  [`${B}?host=::1`, [{ host: '::1' }]],
  [`${B}?host=[::1]:6001`, [{ host: '::1', port: 6001 }]],
  [`${B}?host=/sock/a:6001`, [{ host: '/sock/a:6001' }]],
  [`${B}?host=/sock/dir&port=6001`, [{ host: '/sock/dir', port: 6001 }]],
  // Where asyncpg asks for all ports, a missing one is the driver's default here, as libpq has it.
  [`${B}?host=n1&host=n2&host=n3`, [{ host: 'n1' }, { host: 'n2' }, { host: 'n3' }]],
  [`${B}?host=n1,n2,n3`, [{ host: 'n1' }, { host: 'n2' }, { host: 'n3' }]],
  [`${B}?host=n1,n2&port=6001,`, [{ host: 'n1', port: 6001 }, { host: 'n2' }]],
  [
    `${B}?host=n1,n2&port=6001,6002`,
    [
      { host: 'n1', port: 6001 },
      { host: 'n2', port: 6002 },
    ],
  ],
  [
    `${B}?host=n1:6001&host=n2:6002`,
    [
      { host: 'n1', port: 6001 },
      { host: 'n2', port: 6002 },
    ],
  ],
  [
    `${B}?host=n1:6001,n2:6002`,
    [
      { host: 'n1', port: 6001 },
      { host: 'n2', port: 6002 },
    ],
  ],
  [`${B}?port=6001`, [{ host: 'localhost', port: 6001 }]],
  [`${B}?host=n1&port=6001`, [{ host: 'n1', port: 6001 }]],
  [`${F}?host=n1:6001`, [{ host: 'n1', port: 6001 }]],
  [`${F}?host=n1&port=6001`, [{ host: 'n1', port: 6001 }]],
  [`${F}?port=6001`, [{ host: 'fix', port: 6001 }]],
  [`${G}?host=n1`, [{ host: 'n1', port: 7000 }]],
  [`${G}?host=n1:6001`, [{ host: 'n1', port: 6001 }]],
  [`${G}?port=6001`, [{ host: 'fix', port: 6001 }]],
  [
    'postgresql://h1:5432,h2:5433/db',
    [
      { host: 'h1', port: 5432 },
      { host: 'h2', port: 5433 },
    ],
  ],
  [
    'postgresql://u:p@h1,[fe80::1]:5433,[::2]/db',
    [{ host: 'h1' }, { host: 'fe80::1', port: 5433 }, { host: '::2' }],
  ],
  ['postgresql://[fe80::1]:5433/db', [{ host: 'fe80::1', port: 5433 }]],
  ['postgresql://%2Fvar%2Frun/db', [{ host: '/var/run' }]],
  ['postgresql://:6001/db', [{ host: 'localhost', port: 6001 }]],
];

describe('hosts', () => {
  it.each(RESOLVED)('PG-05 PG-08 appendix C: %s', (text, hosts) => {
    expect(makeUrl(text).hosts).toEqual(hosts);
  });

  it.each([
    ['counts differ', `${B}?host=n1,n2,n3&port=6001`],
    ['counts differ', `${B}?host=n1&port=6001,6002`],
    ['counts differ', `${B}?host=n1,n2,n3&port=6001,6003`],
    ['counts differ without a host', `${B}?port=6001,6002`],
    ['PG-07 a host is missing', `${B}?host=n1,n2,&port=6001,6002,6003`],
    ['a port is no number', `${B}?host=n1:6001&host=n2:x&host=n3:6003`],
    ['a port is no number', `${B}?host=n1&port=x`],
    ['a host has two ports', 'postgresql://n1,n2:1:2/d1'],
    ['a host has two ports', `${B}?host=n1:1:2`],
    ['an address is none', `${B}?host=::1,12:34:56:78`],
    ['PG-11 two formats are mixed', `${B}?host=n1:6001&host=n2:6002&port=6001,6002`],
    ['PG-11 two formats are mixed', `${B}?host=n1&host=n2&port=6001,6002`],
    ['PG-11 two formats are mixed', `${B}?host=n1:6001&port=6002`],
  ])('appendix C: are refused when %s: %s', (_, text) => {
    expect(() => makeUrl(text).hosts).toThrow(ArgumentError);
  });

  it('come from a socket folder that was given as the host, which survives being written', () => {
    const url = DatabaseUrl.create({ drivername: 'postgresql', host: '/var/run', database: 'd' });

    expect([url.hosts, makeUrl(String(url)).hosts]).toEqual([[{ host: '/var/run' }], [{ host: '/var/run' }]]);
  });
});
