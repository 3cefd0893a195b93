import { cpSync } from 'node:fs';
import path from 'node:path';
import { here, npm, QUIET } from './npm.mjs';

/** The project in the folder of its name, with the versions of its lock file and the package. */
export function ownProject({ name, tarball, folder }) {
  cpSync(path.join(here, name), folder, { recursive: true });
  npm(folder, ['install', ...QUIET, '--loglevel=error', tarball]);
  npm(folder, ['test'], { inherit: true });
}
