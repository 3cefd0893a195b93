import { openOurs } from './ours.js';

/** As behind a pooler in transaction mode. */
export const open = openOurs({ pgbouncer: true });
