import { channel, tracingChannel } from 'node:diagnostics_channel';
import { beforeEach, expect, it, vi } from 'vitest';
import { ChannelGroup } from '../../../lib/engine/util/channels.js';

const listener = (): void => undefined;
let name: string;

beforeEach(({ task }) => {
  name = `test:${task.name}`;
});

it('counts a channel in each group that has it while somebody is subscribed', () => {
  const [one, other] = [new ChannelGroup(), new ChannelGroup()];
  const followed = one.channel(name);
  other.channel(name);
  followed.subscribe(listener);
  followed.subscribe(listener);
  expect([one.active, other.active]).toEqual([1, 1]);
  followed.unsubscribe(listener);
  expect([one.active, other.active]).toEqual([1, 1]);
  followed.unsubscribe(listener);
  expect([one.active, other.active]).toEqual([0, 0]);
});

it('counts those that were subscribed before', () => {
  channel(name).subscribe(listener);
  const group = new ChannelGroup();
  group.channel(name);
  expect(group.active).toBe(1);
});

it('tells the operations of a group apart', () => {
  const group = new ChannelGroup();
  const traced = group.trace(name);
  const other = group.trace(`${name} (other)`);
  tracingChannel(name).subscribe({
    start: listener,
    end: listener,
    asyncStart: listener,
    asyncEnd: listener,
    error: listener,
  });
  expect([group.active, traced.isObserved, other.isObserved]).toEqual([5, true, false]);
});

it('lets another copy of the library count as well', async () => {
  const first = new ChannelGroup();
  const followed = first.channel(name);
  vi.resetModules();
  const copy = await import('../../../lib/engine/util/channels.js');
  expect(copy.ChannelGroup).not.toBe(ChannelGroup);
  const second = new copy.ChannelGroup();
  second.channel(name);
  followed.subscribe(listener);
  expect([first.active, second.active]).toEqual([1, 1]);
  followed.unsubscribe(listener);
  expect([first.active, second.active]).toEqual([0, 0]);
});
