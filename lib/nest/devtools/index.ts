/**
 * A page in the application that shows what it does on its databases; for development.
 *
 * @module nest-async-engine/devtools
 */
export { DatabaseDevtoolsModule } from './devtools.module.js';
export type { DatabaseDevtoolsOptions, DevtoolsGuard, DevtoolsGuards } from './devtools-options.js';
export { StatementBudget } from './recording/statement-budget.js';
export type { FindingAction } from './recording/findings.js';
export type { FindingView } from './recording/views.js';
