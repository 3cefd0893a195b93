import { execFile } from 'node:child_process';
import { chmod, chown, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { serverUser } from '../../../lib/embedded/server-user.js';

const run = promisify(execFile);

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];

/** Two authorities; a server named `localhost` and the client `ann`, whom the first one knows. Paths of PEM files. */
export interface Certificates {
  readonly authority: string;
  readonly otherAuthority: string;
  readonly server: string;
  readonly serverKey: string;
  readonly client: string;
  readonly clientKey: string;
  /** A new file in the same folder, readable by the server. */
  readonly folder: string;
  remove(): Promise<void>;
}

/** Makes them anew with the `openssl` of the system. */
export async function makeCertificates(): Promise<Certificates> {
  const folder = await mkdtemp(join(tmpdir(), 'certificates-'));
  await chmod(folder, 0o755);
  const file = (name: string): string => join(folder, name);
  const issue = async (name: string, ...more: string[]): Promise<void> => {
    const files = ['-keyout', file(`${name}.key`), '-out', file(`${name}.crt`)];
    await run('openssl', ['req', '-x509', ...NEW_KEY, ...files, '-subj', `/CN=${name}`, ...more]);
  };
  const signed = ['-CA', file('authority.crt'), '-CAkey', file('authority.key')];
  await Promise.all([issue('authority'), issue('other')]);
  const leaf = ['-addext', 'basicConstraints=critical,CA:FALSE'];
  await issue('localhost', ...signed, ...leaf, '-addext', 'subjectAltName=DNS:localhost');
  await issue('ann', ...signed, ...leaf);
  // The server takes a key that only its own user can read.
  const { uid, gid } = await serverUser();
  if (uid !== undefined && gid !== undefined) await chown(file('localhost.key'), uid, gid);
  await chmod(file('localhost.key'), 0o600);
  return {
    authority: file('authority.crt'),
    otherAuthority: file('other.crt'),
    server: file('localhost.crt'),
    serverKey: file('localhost.key'),
    client: file('ann.crt'),
    clientKey: file('ann.key'),
    folder,
    remove: () => rm(folder, { recursive: true }),
  };
}
