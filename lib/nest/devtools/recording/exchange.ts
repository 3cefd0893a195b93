import { AsyncLocalStorage } from 'node:async_hooks';
import type { ServerResponse } from 'node:http';
import { pathOf, routeOf, type NodeRequest } from '../../request-scope/http-request-scope.js';
import { addToHead } from '../../request-scope/response-head.js';
import type { Unit } from './unit.js';

/** One HTTP request and its answer, and the units that its work on each engine is. */
class Exchange {
  readonly label: string;
  readonly units = new Map<string, Unit>();
  readonly #onEnd: (unit: Unit) => void;
  #isOver = false;

  constructor(label: string, onEnd: (unit: Unit) => void) {
    this.label = label;
    this.#onEnd = onEnd;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  end(): void {
    this.#isOver = true;
    for (const unit of this.units.values()) {
      unit.end();
      this.#onEnd(unit);
    }
  }
}

/** The exchanges of one answer: each page has its own of it. */
const EXCHANGES = Symbol('nest-async-engine: the exchanges of an answer');

type Answer = ServerResponse & { [EXCHANGES]?: Exchange[] };

/** The header that says it, once for all pages; undefined where nothing was sent. */
function serverTiming(exchanges: readonly Exchange[]): readonly [name: string, value: string] | undefined {
  // Two pages may look at one engine, whose figures are the same on both.
  const units = [...new Map(exchanges.flatMap((exchange) => [...exchange.units])).values()];
  if (units.length === 0) return undefined;
  const sum = (figure: (unit: Unit) => number): number =>
    units.reduce((total, unit) => total + figure(unit), 0);
  const statements = sum((unit) => unit.statements);
  const trips = sum((unit) => unit.roundTrips);
  const busy = sum((unit) => unit.busy).toFixed(1);
  const said = `${counted(statements, 'statement')}, ${counted(trips, 'round trip')}`;
  return ['server-timing', `db;dur=${busy};desc="${said}"`];
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** The exchange that the caller works for. */
export class Exchanges {
  readonly #current = new AsyncLocalStorage<Exchange>();
  readonly #path: string;
  readonly #onEnd: (unit: Unit) => void;
  readonly #pages = new Set<ServerResponse>();

  /** Requests of the page itself, below `path`, are not recorded. */
  constructor(path: string, onEnd: (unit: Unit) => void) {
    this.#path = path;
    this.#onEnd = onEnd;
  }

  get current(): Exchange | undefined {
    return this.#current.getStore();
  }

  /**
   * An open page asks again as soon as its events have ended: a server that is closing must not keep its
   * connection.
   */
  endPages(): void {
    for (const { socket } of this.#pages) socket?.destroySoon();
  }

  /** Also behind a global prefix. */
  #isOwn(path: string): boolean {
    return path.endsWith(this.#path) || path.includes(`${this.#path}/`);
  }

  /** In front of every route: opens the exchange, and writes `Server-Timing` when the answer starts. */
  middleware() {
    return (request: NodeRequest, response: Answer, next: () => void): void => {
      if (this.#isOwn(pathOf(request))) {
        this.#pages.add(response);
        response.once('close', () => this.#pages.delete(response));
        return next();
      }
      const exchange = new Exchange(routeOf(request), this.#onEnd);
      response.once('close', () => exchange.end());
      const all = (response[EXCHANGES] ??= []);
      if (all.push(exchange) === 1) addToHead(response, () => serverTiming(all));
      this.#current.run(exchange, next);
    };
  }
}
