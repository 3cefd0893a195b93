import { PoolDeadlockError, PropagationError, UnexpectedRollbackError } from 'nest-async-engine/engine';
import type { Propagation } from 'nest-async-engine/engine';

export type Fate = 'success' | 'inner throws and is caught' | 'outer throws';
export type Order = 'one after the other' | 'Promise.all';
type ErrorClass = abstract new (...args: never[]) => Error;

/** What the methods of the play throw by themselves. */
export class OwnError extends Error {}

/** The outer one writes the first, calls these two, and writes the last. */
export const INNER = ['a', 'b'];
const OUTER = ['outer 1', 'outer 2'];
const ALL = [...INNER, ...OUTER];
const NONE: readonly string[] = [];

export interface Outcome {
  readonly rows: readonly string[];
  /** What each inner call fails with. */
  readonly inner: ErrorClass | undefined;
  /** What the outer one fails with. */
  readonly outer: ErrorClass | undefined;
}

export interface PropagationCase extends Outcome {
  readonly mode: Propagation;
  readonly around: 'none' | 'active';
  readonly fate: Fate;
  readonly order: Order;
  readonly poolSize: number;
}

/** What is stored, and the error where it is not the play's own one. */
interface Cell {
  readonly rows: readonly string[];
  readonly inner?: ErrorClass;
  readonly outer?: ErrorClass;
}
type Cells = readonly [success: Cell, caught: Cell, thrown: Cell];

const BEGUN: Cells = [{ rows: ALL }, { rows: OUTER }, { rows: ALL }];
const PLAIN: Cells = [{ rows: ALL }, { rows: ALL }, { rows: ALL }];
const JOINED: Cells = [{ rows: ALL }, { rows: NONE, outer: UnexpectedRollbackError }, { rows: NONE }];
const refused = (inner: ErrorClass, thrown: readonly string[]): Cells => [
  { rows: OUTER, inner },
  { rows: OUTER, inner },
  { rows: thrown, inner },
];

interface Line {
  readonly none: Cells;
  readonly active: Cells;
  /** Inside a transaction that keeps the pool's only connection. */
  readonly alone?: Cells;
}

/** Spring's semantics: Propagation.java, and the reference page "Transaction Propagation". */
const TABLE: Readonly<Record<Propagation, Line>> = {
  required: { none: BEGUN, active: JOINED },
  nested: { none: BEGUN, active: [{ rows: ALL }, { rows: OUTER }, { rows: NONE }] },
  'requires-new': {
    none: BEGUN,
    active: [{ rows: ALL }, { rows: OUTER }, { rows: INNER }],
    alone: refused(PoolDeadlockError, NONE),
  },
  supports: { none: PLAIN, active: JOINED },
  'not-supported': {
    none: PLAIN,
    active: [{ rows: ALL }, { rows: ALL }, { rows: INNER }],
    alone: refused(PoolDeadlockError, NONE),
  },
  mandatory: { none: refused(PropagationError, OUTER), active: JOINED },
  never: { none: PLAIN, active: refused(PropagationError, NONE) },
};

const MODES = Object.keys(TABLE) as readonly Propagation[];
const FATES: readonly Fate[] = ['success', 'inner throws and is caught', 'outer throws'];
const ORDERS: readonly Order[] = ['one after the other', 'Promise.all'];
export const POOL_SIZES = [1, 2, 10];

/** Seven modes, without a transaction and inside one, three fates, two orders, three pools. */
export const PROPAGATION_CASES: readonly PropagationCase[] = POOL_SIZES.flatMap((poolSize) =>
  MODES.flatMap((mode) =>
    (['none', 'active'] as const).flatMap((around) =>
      FATES.flatMap((fate) =>
        ORDERS.map((order) => ({
          mode,
          around,
          fate,
          order,
          poolSize,
          ...outcomeOf(mode, around, fate, poolSize),
        })),
      ),
    ),
  ),
);

function outcomeOf(mode: Propagation, around: 'none' | 'active', fate: Fate, poolSize: number): Outcome {
  const { none, active, alone = active } = TABLE[mode];
  const cells = around === 'none' ? none : poolSize === 1 ? alone : active;
  const { rows, inner, outer } = cells[FATES.indexOf(fate)] as Cell;
  return {
    rows,
    inner: inner ?? (fate === 'inner throws and is caught' ? OwnError : undefined),
    outer: outer ?? (fate === 'outer throws' ? OwnError : undefined),
  };
}

/** The title of a case's test. */
export function titleOf({ mode, around, fate, order, poolSize, rows }: PropagationCase): string {
  const place = around === 'none' ? 'without a transaction' : 'inside a transaction';
  return `${mode} ${place}, ${fate}, ${order}, pool of ${poolSize}: stores ${rows.join(', ') || 'nothing'}`;
}
