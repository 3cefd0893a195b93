import type { TLSSocket } from 'node:tls';
import type { Client } from 'pg';
import { ArgumentError, InterfaceError } from '../../../errors/errors.js';
import { OperationalError } from '../../../errors/server-errors.js';
import type { ConnectParameters } from './connect-parameters.js';

const BOUND = 'SCRAM-SHA-256-PLUS';

/** The ways to sign in that libpq's `require_auth` names. */
const METHODS = ['password', 'md5', 'scram-sha-256', 'none', 'gss', 'sspi', 'oauth'] as const;
type Method = (typeof METHODS)[number];

/** Those that pg can answer. */
const ANSWERED: readonly Method[] = ['password', 'md5', 'scram-sha-256', 'none'];

/** The steps of a login; each is pg's name of the message. */
const EVENTS = {
  password: 'authenticationCleartextPassword',
  md5: 'authenticationMD5Password',
  offer: 'authenticationSASL',
  challenge: 'authenticationSASLContinue',
  proof: 'authenticationSASLFinal',
  ok: 'authenticationOk',
  ready: 'readyForQuery',
} as const;
type Step = keyof typeof EVENTS;

/** What may come behind each; a server that skips its proof has proved nothing. */
const NEXT: Readonly<Record<Step | 'start', readonly Step[]>> = {
  start: ['ok', 'password', 'md5', 'offer'],
  password: ['ok'],
  md5: ['ok'],
  offer: ['challenge'],
  challenge: ['proof'],
  proof: ['ok'],
  ok: ['ready'],
  // Only the first of them is a step of the login.
  ready: [],
};

/** What a login must be, from `channel_binding` and `require_auth`, with libpq's meanings. */
export class LoginRules {
  readonly #isBound: boolean;
  readonly #methods: ReadonlySet<Method>;
  readonly #wanted: string | undefined;

  /** @throws ArgumentError for words that libpq does not know, and for ways to sign in that pg does not. */
  constructor(parameters: ConnectParameters) {
    this.#isBound = parameters.oneOf('channel_binding', ['disable', 'prefer', 'require']) === 'require';
    this.#wanted = parameters.get('require_auth');
    this.#methods = methodsOf(parameters);
  }

  /**
   * Ends the attempt of `client` before it answers a server that asks for less than the rules say, or that
   * skips a step. To be called before `connect()`, so that it hears the server before pg does.
   */
  guard(client: Client): void {
    const { connection } = client;
    let last: Step | 'start' = 'start';
    for (const [step, event] of Object.entries(EVENTS) as [Step, string][]) {
      const listen = step === 'ready' ? 'once' : 'on';
      connection[listen](event, (message: { readonly mechanisms?: readonly string[] }) => {
        const error = this.#fault(last, step, client, message.mechanisms);
        last = step;
        if (error === undefined) return;
        // At once: the message that says that the session is ready may be behind this one.
        connection.emit('error', error);
        connection.stream.destroy();
      });
    }
  }

  #fault(
    last: Step | 'start',
    step: Step,
    client: Client,
    mechanisms: readonly string[] | undefined,
  ): Error | undefined {
    if (!NEXT[last].includes(step)) return outOfTurn();
    const method = methodOf(last, step);
    if (method !== undefined && !this.#methods.has(method)) return this.#notWanted(method);
    if (!this.#isBound) return undefined;
    if (step === 'offer')
      return mechanisms?.includes(BOUND) === true && canBind(client) ? undefined : unbound();
    return step === 'password' || step === 'md5' || last === 'start' ? unbound() : undefined;
  }

  #notWanted(method: Method): OperationalError {
    const what = method === 'none' ? 'did not ask for a password' : `asks for ${method}`;
    return new OperationalError(
      `the server ${what}, and require_auth is ${this.#wanted}. Nothing was sent to it. ` +
        'Change its pg_hba.conf, or require_auth.',
    );
  }
}

/** The way to sign in that is known with this step; undefined inside of an exchange. */
function methodOf(last: Step | 'start', step: Step): Method | undefined {
  if (step === 'password' || step === 'md5') return step;
  if (step === 'offer') return 'scram-sha-256';
  return last === 'start' ? 'none' : undefined;
}

function canBind(client: Client): boolean {
  const { enableChannelBinding } = client as Client & { enableChannelBinding?: boolean };
  return enableChannelBinding === true && (client.connection.stream as Partial<TLSSocket>).encrypted === true;
}

function methodsOf(parameters: ConnectParameters): ReadonlySet<Method> {
  const given = parameters.get('require_auth');
  if (given === undefined) return new Set(METHODS);
  const words = given.split(',').map((word) => word.trim());
  const isNegated = words[0]?.startsWith('!') === true;
  const named = words.map((word) => METHODS.find((method) => word === (isNegated ? `!${method}` : method)));
  if (named.includes(undefined) || new Set(named).size < named.length) {
    throw new ArgumentError(
      `${parameters.nameOf('require_auth')} must list some of ${METHODS.join(', ')}, each once, ` +
        'or what is not allowed, each with ! in front.',
    );
  }
  const methods = METHODS.filter((method) => named.includes(method) !== isNegated);
  if (methods.some((method) => ANSWERED.includes(method))) return new Set(methods);
  throw new ArgumentError(
    `${parameters.nameOf('require_auth')} allows ${methods.join(', ') || 'nothing'}, and the driver pg can only ` +
      `sign in by ${ANSWERED.join(', ')}.`,
  );
}

function unbound(): OperationalError {
  return new OperationalError(
    'the server signs in without channel binding, and channel_binding is require. ' +
      'Use TLS and a SCRAM password, or channel_binding=prefer.',
  );
}

function outOfTurn(): InterfaceError {
  return new InterfaceError(
    'the server left out a step of the login, so that it has not proved who it is. Nothing more was sent to it.',
    { connectionInvalidated: true },
  );
}
