import { createRequire } from 'node:module';

const { version } = createRequire(import.meta.url)('@nestjs/core/package.json') as { version: string };

/** Whether the tests run on NestJS 11: `npm run test:nest-11`. */
export const isNest11 = version.startsWith('11.');

/** Why a test that needs NestJS 12 is skipped on 11: `skip(...without('async generators as handlers'))`. */
export function without(what: string): [isSkipped: boolean, note: string] {
  return [isNest11, `NestJS 11 has no ${what}`];
}
