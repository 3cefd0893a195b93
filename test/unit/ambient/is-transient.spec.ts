import { describe, expect, it } from 'vitest';
import {
  AfterCommitError,
  CommitLostError,
  CommitOutcomeUnknownError,
  ConnectError,
  DBAPIError,
  isTransient,
  PendingRollbackError,
  PoolTimeoutError,
} from 'nest-async-engine/engine';

const ofServer = (sqlState: string): DBAPIError => Object.assign(new DBAPIError('no'), { sqlState });
const lost = new DBAPIError('lost', { connectionInvalidated: true });

describe('isTransient', () => {
  it.each<[string, unknown]>([
    ...['40001', '40P01', '57P01', '57P02', '57P03', '53300'].map((state): [string, unknown] => [
      state,
      ofServer(state),
    ]),
    ['a connection that was lost', lost],
    ['what followed it', new PendingRollbackError('first roll back', { cause: lost })],
    ['a server that can’t be reached', new ConnectError('nobody listens')],
    ['a wait for one', new PoolTimeoutError('too long', { cause: new ConnectError('nobody listens') })],
    ['a COMMIT that is known to be lost', new CommitLostError('lost', { cause: lost })],
  ])('%s: yes', (_, error) => expect(isTransient(error)).toBe(true));

  it.each<[string, unknown]>([
    ...['23505', '25006', '42P01', '57014', '08006', '08007', '40003'].map((state): [string, unknown] => [
      state,
      ofServer(state),
    ]),
    ['a wrong password', Object.assign(new ConnectError('no'), { sqlState: '28P01' })],
    ['a COMMIT of which nothing is known', new CommitOutcomeUnknownError('lost', { cause: lost })],
    ['a hook behind COMMIT', new AfterCommitError('stored', { cause: lost })],
    ['a full pool', new PoolTimeoutError('too long')],
    ['no error at all', undefined],
  ])('%s: no', (_, error) => expect(isTransient(error)).toBe(false));
});
