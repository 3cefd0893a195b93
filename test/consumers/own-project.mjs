import { cpSync } from 'node:fs';
import path from 'node:path';
import { here, npm, QUIET } from './npm.mjs';

/** The project in the folder of its name, with the versions of its lock file and the package, and files of `other`. */
export function ownProject({ name, tarball, folder }, other, files = []) {
  cpSync(path.join(here, name), folder, { recursive: true });
  for (const file of files) cpSync(path.join(here, other, file), path.join(folder, file));
  npm(folder, ['install', ...QUIET, '--loglevel=error', tarball]);
  npm(folder, ['test'], { inherit: true });
}
