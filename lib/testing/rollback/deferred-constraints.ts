import { unprepared } from './piece.js';

/** What COMMIT does first: fires the deferred constraints. */
export const CHECK_CONSTRAINTS = unprepared('SET CONSTRAINTS ALL IMMEDIATE');

// SET CONSTRAINTS lasts until the transaction ends, and the test's own goes on: back to what the tables say.
const names = `string_agg(DISTINCT format('%I.%I', n.nspname, c.conname), ', ')`;

/** Lets the constraints that are INITIALLY DEFERRED wait for the next COMMIT again. */
export const DEFER_CONSTRAINTS = unprepared(
  `DO $$ DECLARE deferred TEXT; BEGIN
    SELECT ${names} INTO deferred FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace
      WHERE c.condeferred AND NOT pg_is_other_temp_schema(n.oid) AND has_schema_privilege(n.oid, 'USAGE');
    IF deferred IS NOT NULL THEN EXECUTE 'SET CONSTRAINTS ' || deferred || ' DEFERRED'; END IF;
  END $$`,
);
