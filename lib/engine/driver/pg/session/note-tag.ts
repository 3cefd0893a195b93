import { SESSION_TAGS } from '../../session-changes.js';
import type { PreparedStatement } from '../prepared/prepared-statements.js';
import type { WireContext } from './batch-parts.js';
import type { Step } from './pg-step.js';

/** What a tag was the answer to; `step` is undefined for what a script had more than its text. */
interface Tagged {
  readonly step: Step | undefined;
  readonly statement: PreparedStatement | undefined;
  readonly isScript: boolean;
  readonly hasRows: boolean;
}

/** What the tag of a command says of its session, and of the statements that are parsed in it. */
export function noteTag({ prepared, changes }: WireContext, tag: string, tagged: Tagged): void {
  const { step, statement, isScript, hasRows } = tagged;
  if (SESSION_TAGS.has(tag)) changes.noteTag(tag, isScript ? undefined : step?.text);
  if (step?.isControl === false && statement?.configures === true) prepared.settings.change();
  prepared.handleTag(tag, step?.text ?? '', hasRows);
}
