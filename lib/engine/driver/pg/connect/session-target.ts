import type { HostAddress } from '../../url/url.js';
import type { DriverConnection } from '../../driver.js';
import type { ConnectParameters } from './connect-parameters.js';

const ATTRIBUTES = ['any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'] as const;
type Attributes = (typeof ATTRIBUTES)[number];

/** What a pass over the hosts looks for; `any` asks the server nothing. */
export type SessionKind = Exclude<Attributes, 'prefer-standby'>;

/** A server to try. Where no host is named, the driver's default applies. */
export type Candidate = Partial<HostAddress>;

interface SessionFacts {
  readonly standby: boolean;
  readonly readOnly: boolean;
}

/**
 * Which of several servers a connection goes to, as libpq's `target_session_attrs` and `load_balance_hosts`
 * say.
 */
export class SessionTarget {
  readonly #attributes: Attributes;
  readonly #isBalanced: boolean;

  /** @throws ArgumentError for words that libpq does not know. */
  constructor(parameters: ConnectParameters) {
    this.#attributes = parameters.oneOf('target_session_attrs', ATTRIBUTES) ?? 'any';
    this.#isBalanced = parameters.oneOf('load_balance_hosts', ['disable', 'random']) === 'random';
  }

  /**
   * What to look for in turn: `prefer-standby` takes any server when a pass over all found no standby.
   */
  get passes(): readonly SessionKind[] {
    return this.#attributes === 'prefer-standby' ? ['standby', 'any'] : [this.#attributes];
  }

  /** False where a server that refuses writes is what is looked for. */
  get isForWrites(): boolean {
    return ['any', 'read-write', 'primary'].includes(this.#attributes);
  }

  /** The hosts in the order in which they are tried: shuffled anew for each connection with `random`. */
  order(hosts: readonly Candidate[]): readonly Candidate[] {
    return this.#isBalanced ? shuffled(hosts) : hosts;
  }
}

/** Asks the server, one round trip; nothing for `any`. */
export async function isOfKind(
  connection: DriverConnection,
  kind: SessionKind,
  timeout: number | undefined,
): Promise<boolean> {
  if (kind === 'any') return true;
  const text = `SELECT pg_is_in_recovery() AS "standby", current_setting('transaction_read_only') = 'on' AS "readOnly"`;
  const { rows } = await connection.execute([], { text, prepare: false }, { timeout });
  const { standby, readOnly } = rows[0] as unknown as SessionFacts;
  switch (kind) {
    case 'primary':
      return !standby;
    case 'standby':
      return standby;
    case 'read-write':
      return !readOnly;
    case 'read-only':
      return readOnly;
    default:
      return kind satisfies never;
  }
}

function shuffled<T>(items: readonly T[]): T[] {
  const left = [...items];
  const order: T[] = [];
  while (left.length > 0) order.push(...left.splice(Math.floor(Math.random() * left.length), 1));
  return order;
}
