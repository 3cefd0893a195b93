import { DISTRIBUTION_QUESTION } from '../../distributed.js';
import type { Question, WireContext } from './batch-parts.js';
import { toStep } from './pg-step.js';

/** Around a flight that is stored as a whole. */
export const BEGIN = toStep({ text: 'BEGIN' }, undefined, true);
export const COMMIT: Question = {
  step: toStep({ text: 'COMMIT' }, undefined, true),
  sent: () => undefined,
  answered: () => undefined,
};

const STEP = toStep({ text: DISTRIBUTION_QUESTION, prepare: false }, undefined, true);

/** Asked once in a session, behind its first question about types. */
export function distributionQuestion(context: WireContext): Question {
  return {
    step: STEP,
    sent: () => undefined,
    answered: ({ rows: [row] }) => {
      context.isDistributed = row !== undefined && 'isDistributed' in row && row.isDistributed === true;
    },
  };
}
