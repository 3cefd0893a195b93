import { GOALS } from '../goals.js';
import { OURS, OURS_ALONE } from '../peers/index.js';
import { ForeignServer } from '../ways/foreign-server.js';
import type { Workload } from '../workload.js';
import { selecting } from './selecting.js';

/** Reads that the server itself has to wait for, about `wait` milliseconds. */
function waitingBehind(wait: number, callers: number, operations: number): Workload {
  return {
    name: `behind-server-${wait}-${callers}`,
    title: `Point select that waits ${wait} ms behind the server, ${callers === 1 ? 'one caller' : `${callers} callers`}`,
    contenders: selecting(['pg.Pool', OURS, OURS_ALONE], callers),
    base: 'pg.Pool',
    goals: GOALS['behind-server'],
    way: (url) => ForeignServer.start(url, wait),
    full: { operations },
    smoke: { operations: callers },
  };
}

export const behindServer: readonly Workload[] = [
  waitingBehind(0.5, 1, 300),
  waitingBehind(0.5, 8, 1_600),
  waitingBehind(0.5, 128, 3_840),
  waitingBehind(5, 1, 60),
  waitingBehind(5, 8, 400),
  waitingBehind(5, 128, 640),
];
