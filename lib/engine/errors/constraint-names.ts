/** What an error of class 23 is about. */
interface ConstraintNames {
  readonly constraint?: string | undefined;
  readonly table?: string | undefined;
  readonly column?: string | undefined;
}

/** What the server says of an error, as `pg` has it. */
interface SaidByServer extends ConstraintNames {
  readonly code?: string | undefined;
  readonly message: string;
  readonly where?: string | undefined;
}

const CONSTRAINT = /\bconstraint "((?:[^"]|"")+)"/i;
const COLUMN = /\bcolumn "((?:[^"]|"")+)"/i;
/** The last one: a foreign key that refuses a DELETE names the table of the key behind the other one. */
const TABLE = /.*\b(?:table|relation) "((?:[^"]|"")+)"/is;

/** Citus says so of an error of a worker, whose tables have the number of their shard behind their name. */
const OF_WORKER = /^while executing command on /m;
const SHARD = /_\d{6,}$/;

/**
 * The names that an integrity error is about: the server's fields, and where it sent none the names in its
 * message, as PostgreSQL writes it in English. Distributed servers and poolers drop the fields.
 */
export function constraintNames({ code, message, where, ...fields }: SaidByServer): ConstraintNames {
  const { constraint, table, column } = fields;
  if (code?.startsWith('23') !== true || (constraint !== undefined && table !== undefined))
    return { constraint, table, column };
  const isOfWorker = OF_WORKER.test(where ?? '');
  const named = (pattern: RegExp): string | undefined => {
    const name = pattern.exec(message)?.[1]?.replaceAll('""', '"');
    return isOfWorker ? name?.replace(SHARD, '') : name;
  };
  return {
    constraint: constraint ?? named(CONSTRAINT),
    table: table ?? named(TABLE),
    column: column ?? (code === '23502' ? named(COLUMN) : undefined),
  };
}
