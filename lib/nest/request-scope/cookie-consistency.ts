import type { IncomingMessage } from 'node:http';
import { isConsistencyToken } from '../../engine/index.js';
import {
  durationRule,
  flagRule,
  LONGEST_TIMER,
  wordRule,
  type OptionRule,
} from '../../engine/util/option-rule.js';
import { OptionTable } from '../../engine/util/option-table.js';
import type { RequestConsistency } from '../shared/database-options.interface.js';

/** How the cookie is called and for how long it is kept. Times in ms. */
export interface CookieConsistencyOptions {
  readonly name: string;
  /** How long a client's writes are looked for on replicas; longer than they lag. Default 60,000. */
  readonly maxAge?: number | undefined;
  /** True: over HTTPS only. Default false. */
  readonly secure?: boolean | undefined;
}

const nameRule: OptionRule = {
  ...wordRule,
  expected: 'the name of a cookie: letters, digits, "_" and "-"',
  accepts: (value) => typeof value === 'string' && /^[\w-]+$/.test(value),
};

const COOKIE_OPTIONS = new OptionTable<Partial<CookieConsistencyOptions>>(
  'cookieConsistency',
  {
    name: nameRule,
    maxAge: durationRule(1, `milliseconds from 1 to ${LONGEST_TIMER}`),
    secure: flagRule,
  },
  'refused',
);

/**
 * Takes to the next request of a client what its last one has written, so that it reads that on replicas. A
 * cookie of something else is ignored. What is written once the head of the answer is under way is not in it.
 *
 * @throws ArgumentError for a wrong option.
 *
 * @example
 * ```ts
 * const requestScope = { consistency: cookieConsistency({ name: 'db' }) };
 * DatabaseModule.forRoot({ replicas: { url }, requestScope });
 * ```
 */
export function cookieConsistency(options: CookieConsistencyOptions): RequestConsistency {
  const { name, maxAge = 60_000, secure = false } = COOKIE_OPTIONS.parse(options);
  COOKIE_OPTIONS.parseOption('name', name);
  const attributes = `Max-Age=${Math.ceil(maxAge / 1_000)}; Path=/; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`;
  return {
    read: (request) => {
      const { cookie = '' } = (request as Partial<IncomingMessage>).headers ?? {};
      const pair = cookie.split(';').find((each) => each.trim().startsWith(`${name}=`));
      const token = pair?.slice(pair.indexOf('=') + 1).trim();
      return isConsistencyToken(token) ? token : undefined;
    },
    header: (token) => ['Set-Cookie', `${name}=${token}; ${attributes}`],
  };
}
