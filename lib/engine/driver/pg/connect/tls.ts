import type { ConnectionOptions, SecureContextOptions, SecureVersion } from 'node:tls';
import { ArgumentError } from '../../../errors/errors.js';
import { encryption, files } from '../../../errors/node-modules.js';
import { OperationalError } from '../../../errors/server-errors.js';
import type { ConnectParameters, ParameterName } from './connect-parameters.js';
import { reasonOf } from '../../../errors/thrown.js';

/** How one attempt is encrypted; false: not at all. */
export type TlsAttempt = false | ConnectionOptions;

/**
 * libpq's, and node-postgres' name for one of them: `no-verify` is encrypted without asking who the server
 * is.
 */
const MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'] as const;
type TlsMode = (typeof MODES)[number];

const FILES = ['sslrootcert', 'sslcert', 'sslkey', 'sslpassword', 'sslcrl'] as const;
const VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const satisfies readonly SecureVersion[];

const UNVERIFIED: ConnectionOptions = { rejectUnauthorized: false };

/**
 * What is said about encryption, with the meanings that libpq gives to `sslmode` and its companions.
 *
 * Two deviations: without `sslmode` nothing is encrypted, as with `pg`; and without `sslrootcert` the
 * authorities that Node knows are trusted, which is what `sslrootcert=system` says. Certificates are read for
 * each connection, so that they can be renewed.
 */
export class TlsRules {
  readonly #parameters: ConnectParameters;
  readonly #mode: TlsMode;
  readonly #minVersion: SecureVersion | undefined;
  readonly #maxVersion: SecureVersion | undefined;

  /**
   * @throws ArgumentError for an unknown mode, and for files that the mode, or the lack of it, leaves without
   * meaning.
   */
  constructor(parameters: ConnectParameters) {
    this.#parameters = parameters;
    this.#mode = modeOf(parameters);
    this.#minVersion = parameters.oneOf('ssl_min_protocol_version', VERSIONS);
    this.#maxVersion = parameters.oneOf('ssl_max_protocol_version', VERSIONS);
    if ((parameters.get('sslcert') === undefined) !== (parameters.get('sslkey') === undefined)) {
      throw new ArgumentError('sslcert and sslkey belong together: a client certificate needs both.');
    }
    if (parameters.get('sslnegotiation') === 'direct' && !this.#isEnforced()) {
      throw new ArgumentError(
        `${parameters.nameOf('sslnegotiation')} is direct, which needs an sslmode that is ` +
          `require, verify-ca, verify-full or no-verify.`,
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
    return this.#mode !== 'disable' && this.#mode !== 'allow' && this.#mode !== 'prefer';
  }

  async #connectionOptions(): Promise<ConnectionOptions> {
    const isOfNode = this.#parameters.get('sslrootcert') === 'system';
    const [ca, cert, key, crl] = await Promise.all([
      isOfNode ? undefined : this.#read('sslrootcert'),
      this.#read('sslcert'),
      this.#read('sslkey'),
      this.#read('sslcrl'),
    ]);
    const passphrase = this.#parameters.get('sslpassword');
    return sealed({
      ...this.#verification(ca),
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
      ...(crl !== undefined && { crl }),
      ...(passphrase !== undefined && { passphrase }),
      ...(this.#minVersion !== undefined && { minVersion: this.#minVersion }),
      ...(this.#maxVersion !== undefined && { maxVersion: this.#maxVersion }),
    });
  }

  #verification(ca: string | undefined): ConnectionOptions {
    const trusted: ConnectionOptions = ca === undefined ? {} : { ca };
    if (this.#mode === 'verify-full') return trusted;
    // libpq: with an authority at hand, require is verify-ca.
    const isVerified = this.#mode === 'verify-ca' || (this.#mode === 'require' && ca !== undefined);
    return isVerified ? { ...trusted, checkServerIdentity: () => undefined } : UNVERIFIED;
  }

  async #read(name: ParameterName): Promise<string | undefined> {
    const path = this.#parameters.get(name);
    if (path === undefined) return undefined;
    try {
      return await files().readFile(path, 'utf8');
    } catch (cause) {
      const reason = reasonOf(cause);
      throw new OperationalError(
        `${this.#parameters.nameOf(name)} could not be read: ${reason}. Give a PEM file.`,
        { cause },
      );
    }
  }
}

/**
 * The same options with their certificates, keys and passphrases inside an object of OpenSSL: pg and Node
 * keep the options in properties of the client and of the socket, where logs and events would show them.
 *
 * @throws OperationalError for keys and certificates that can't be used.
 */
export function sealed(options: ConnectionOptions): ConnectionOptions {
  // pg has made the key of an object that it saw before a property that spreading does not see.
  const { key } = options;
  const { ca, cert, crl, passphrase, pfx, secureContext, ...rest } = { ...options };
  delete rest.key;
  if (secureContext !== undefined) return { ...rest, secureContext };
  const secrets = { ca, cert, crl, key, passphrase, pfx };
  const given = Object.fromEntries(Object.entries(secrets).filter(([, value]) => value !== undefined));
  if (Object.keys(given).length === 0) return rest;
  try {
    const context: SecureContextOptions = { ...rest, ...given };
    return { ...rest, secureContext: encryption().createSecureContext(context) };
  } catch (cause) {
    const reason = reasonOf(cause);
    throw new OperationalError(
      `the certificates or keys for TLS could not be used: ${reason}. Give PEM files that belong together.`,
      { cause },
    );
  }
}

function modeOf(parameters: ConnectParameters): TlsMode {
  const ssl = parameters.oneOf('ssl', ['true', 'false'], ' Or write sslmode in its place.');
  const given = parameters.oneOf('sslmode', MODES);
  if (ssl !== undefined && given !== undefined) {
    throw new ArgumentError('the URL has both ssl and sslmode. Write sslmode alone.');
  }
  const isOfNode = parameters.get('sslrootcert') === 'system';
  if (given === undefined) {
    if (ssl !== undefined) return ssl === 'true' ? 'verify-full' : 'disable';
    if (isOfNode) return 'verify-full';
    const orphan = FILES.find((name) => parameters.get(name) !== undefined);
    if (orphan === undefined) return 'disable';
    throw new ArgumentError(
      `there is ${parameters.nameOf(orphan)} and no sslmode, so nothing would be encrypted. Add sslmode=verify-full.`,
    );
  }
  if (isOfNode && given !== 'verify-full') {
    throw new ArgumentError(
      `${parameters.nameOf('sslrootcert')} is system, which needs sslmode=verify-full: ` +
        'a public authority gives a certificate to anybody.',
    );
  }
  return given;
}
