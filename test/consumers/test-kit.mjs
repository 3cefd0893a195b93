import { cpSync } from 'node:fs';
import path from 'node:path';
import { here, npm, QUIET } from './npm.mjs';

/** A project of ES modules that uses the test kit, with the test runner of its folder's name. */
export function testKit({ name, tarball, folder }) {
  cpSync(path.join(here, 'shared'), folder, { recursive: true });
  cpSync(path.join(here, name), folder, { recursive: true });
  npm(folder, ['install', ...QUIET, '--loglevel=error', tarball]);
  npm(folder, ['test'], { inherit: true });
}
