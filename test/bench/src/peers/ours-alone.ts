import { openOurs } from './ours.js';

/** Without reads of several callers on one connection. */
export const open = openOurs({ multiplex: false });
