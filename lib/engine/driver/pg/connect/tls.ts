import { readFile } from 'node:fs/promises';
import type { ConnectionOptions } from 'node:tls';
import { ArgumentError, OperationalError } from '../../../errors/errors.js';
import type { UrlParameters } from './url-parameters.js';

/** How one attempt is encrypted; false: not at all. */
export type TlsAttempt = false | ConnectionOptions;

const MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
type TlsMode = (typeof MODES)[number];

const FILE_PARAMETERS = ['sslrootcert', 'sslcert', 'sslkey', 'sslpassword'] as const;

const UNVERIFIED: ConnectionOptions = { rejectUnauthorized: false };

/**
 * What a URL says about encryption, with the meanings that libpq gives to `sslmode` and its companions.
 *
 * Two deviations: without `sslmode` nothing is encrypted, as with `pg`; and without `sslrootcert` the
 * authorities that Node knows are trusted, which is what `sslrootcert=system` says. Certificates are read for
 * each connection, so that they can be renewed.
 */
export class TlsRules {
  readonly #parameters: UrlParameters;
  readonly #mode: TlsMode;

  /**
   * @throws ArgumentError for an unknown mode, and for files that the mode, or the lack of it, leaves without
   * meaning.
   */
  constructor(parameters: UrlParameters) {
    this.#parameters = parameters;
    this.#mode = checkedMode(parameters);
    const { sslcert, sslkey } = parameters;
    if ((sslcert === undefined) !== (sslkey === undefined)) {
      throw new ArgumentError('the URL has one of sslcert and sslkey: a client certificate takes both.');
    }
    if (parameters.sslnegotiation === 'direct' && !this.#isEnforced()) {
      throw new ArgumentError(
        `the URL's sslnegotiation=direct takes sslmode require, verify-ca or verify-full, not ${this.#mode}.`,
      );
    }
  }

  /** The attempts to make, in order. A Unix socket is never encrypted. */
  async attempts(host: string | undefined): Promise<readonly TlsAttempt[]> {
    if (this.#mode === 'disable' || host?.startsWith('/') === true) return [false];
    const encrypted = await this.#connectionOptions();
    if (this.#mode === 'allow') return [false, encrypted];
    return this.#mode === 'prefer' ? [encrypted, false] : [encrypted];
  }

  #isEnforced(): boolean {
    return this.#mode === 'require' || this.#mode === 'verify-ca' || this.#mode === 'verify-full';
  }

  async #connectionOptions(): Promise<ConnectionOptions> {
    const { sslrootcert, sslcert, sslkey, sslpassword } = this.#parameters;
    const [ca, cert, key] = await Promise.all([
      sslrootcert === 'system' ? undefined : readParameter('sslrootcert', sslrootcert),
      readParameter('sslcert', sslcert),
      readParameter('sslkey', sslkey),
    ]);
    return {
      ...this.#verification(ca),
      ...(cert && { cert }),
      ...(key && { key }),
      ...(sslpassword !== undefined && { passphrase: sslpassword }),
    };
  }

  #verification(ca: string | undefined): ConnectionOptions {
    const trusted: ConnectionOptions = ca === undefined ? {} : { ca };
    if (this.#mode === 'verify-full') return trusted;
    // libpq: with an authority at hand, require is verify-ca.
    const isVerified = this.#mode === 'verify-ca' || (this.#mode === 'require' && ca !== undefined);
    return isVerified ? { ...trusted, checkServerIdentity: () => undefined } : UNVERIFIED;
  }
}

function checkedMode(parameters: UrlParameters): TlsMode {
  const { sslmode, sslrootcert } = parameters;
  if (sslmode === undefined) {
    if (sslrootcert === 'system') return 'verify-full';
    const orphan = FILE_PARAMETERS.find((name) => parameters[name] !== undefined);
    if (orphan === undefined) return 'disable';
    throw new ArgumentError(
      `the URL has ${orphan} and no sslmode, so nothing would be encrypted. Add sslmode=verify-full.`,
    );
  }
  const mode = MODES.find((each) => each === sslmode);
  if (mode === undefined) {
    throw new ArgumentError(
      `the URL's sslmode is '${sslmode}': it takes disable, allow, prefer, require, verify-ca or verify-full.`,
    );
  }
  if (sslrootcert === 'system' && mode !== 'verify-full') {
    throw new ArgumentError(
      `the URL's sslrootcert=system takes sslmode=verify-full, not ${mode}: anybody can get a certificate of a public authority.`,
    );
  }
  return mode;
}

async function readParameter(name: string, path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new OperationalError(`the URL's ${name} could not be read: ${reason}. Give a PEM file.`, { cause });
  }
}
