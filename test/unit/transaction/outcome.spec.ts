import { describe, expect, it } from 'vitest';
import type { TransactionMark } from '../../../lib/engine/driver/transaction-mark.js';
import { outcomeOf, type IdStatus, type ServerReport } from '../../../lib/engine/transaction/outcome.js';

const mark: TransactionMark = {
  id: '1000',
  isPlain: true,
  origin: { pid: 7, startedAt: '1', server: '42/00000001', life: 'first' },
};
const same: ServerReport = {
  server: '42/00000001',
  life: 'first',
  isRecovered: false,
  isForgotten: false,
  isSynchronous: false,
  hasEnded: null,
};
const crashed = { ...same, life: 'second' };
const recovered = { ...crashed, isRecovered: true };

describe('what another session finds, and what is concluded from it', () => {
  it.each<[string, ServerReport, IdStatus, ReturnType<typeof outcomeOf>]>([
    ['committed', same, 'committed', 'committed'],
    ['aborted', same, 'aborted', 'aborted'],
    ['still running', same, 'in progress', 'running'],
    ['an id that is too old', same, null, 'unknown'],
    ['an id that nobody was given', same, 'future', 'unknown'],
    ['another timeline', { ...same, server: '42/00000002' }, 'committed', 'unknown'],
    ['another timeline, aborted', { ...same, server: '42/00000002' }, 'aborted', 'unknown'],
    ['another system', { ...same, server: '43/00000001' }, 'committed', 'unknown'],
    ['a standby', { ...same, server: '42' }, 'committed', 'unknown'],
    ['ended and committed', { ...same, hasEnded: true }, 'committed', 'committed'],
    [
      'ended while it may have waited for a standby',
      { ...same, hasEnded: true, isSynchronous: true },
      'committed',
      'unknown',
    ],
    ['ended before its COMMIT', { ...same, hasEnded: true, isSynchronous: true }, 'aborted', 'aborted'],
    ['a crash that has kept the id', recovered, 'committed', 'committed'],
    ['a crash that has lost the id', { ...recovered, isForgotten: true }, 'committed', 'aborted'],
    ['a crash, and the id was not given again', { ...recovered, isForgotten: true }, 'future', 'aborted'],
    ['a crash long ago, and perhaps another transaction', crashed, 'committed', 'unknown'],
    ['a crash long ago, and no one with this id has stored anything', crashed, 'aborted', 'aborted'],
    ['a crash long ago, and the id was not given again', crashed, 'future', 'aborted'],
  ])('%s', (_, report, status, outcome) => {
    expect(outcomeOf(mark, report, status)).toBe(outcome);
  });

  it('a session that was opened on a standby says nothing of its timeline', () => {
    const onStandby = { ...mark, origin: { ...mark.origin, server: '42' } };
    expect(outcomeOf(onStandby, { ...same, server: '42' }, 'committed')).toBe('unknown');
  });
});
