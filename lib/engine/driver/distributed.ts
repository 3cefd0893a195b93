const HAS_CITUS = "EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'citus')";

/** True of a coordinator, which knows the end of its own part of a transaction, and not of the others. */
export const IS_DISTRIBUTED = `(pg_catalog.version() ~ '-YB-|CockroachDB|Greenplum|Cloudberry' OR ${HAS_CITUS})`;

/** Whether the server is a coordinator that routes rows to others. */
export const DISTRIBUTION_QUESTION = `SELECT ${HAS_CITUS} AS "isDistributed"`;

/** The same for whether it can know how a COMMIT ended that it has answered with an internal error. */
export const COORDINATOR_QUESTION = `SELECT ${IS_DISTRIBUTED} AS "isDistributed"`;
