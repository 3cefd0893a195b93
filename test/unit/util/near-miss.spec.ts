import { describe, expect, it } from 'vitest';
import { nearMiss } from '../../../lib/engine/util/near-miss.js';

const KNOWN = [
  'isolationLevel',
  'readOnly',
  'timeout',
  'settings',
  'label',
  'retry',
  'signal',
  'loggingToken',
];

describe('nearMiss', () => {
  it.each([
    ['isolation_level', 'isolationLevel'],
    ['ISOLATIONLEVEL', 'isolationLevel'],
    ['isolation', 'isolationLevel'],
    ['isolationLevle', 'isolationLevel'],
    ['readonly', 'readOnly'],
    ['read-only', 'readOnly'],
    ['only', 'readOnly'],
    ['timout', 'timeout'],
    ['tiemout', 'timeout'],
    ['timeoutMs', 'timeout'],
    ['setting', 'settings'],
    ['setings', 'settings'],
    ['labels', 'label'],
    ['retrys', 'retry'],
  ])('%s is meant to be %s', (name, meant) => {
    expect(nearMiss(name, KNOWN)).toBe(meant);
  });

  it.each(['tenant', 'user', 'audit', 'tag', 'table', 'level', 'token', 'cacheFor', 'traceId', 'priority'])(
    'lets %s be a name of one’s own',
    (name) => {
      expect(nearMiss(name, KNOWN)).toBeUndefined();
    },
  );

  it('finds the known name itself in another spelling before one that is half of it', () => {
    expect(nearMiss('read_only', ['only', 'readOnly'])).toBe('readOnly');
  });
});
