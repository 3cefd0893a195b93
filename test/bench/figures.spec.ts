import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { runCallers } from './src/callers.js';
import { DelayProxy } from './src/ways/delay-proxy.js';
import { median, orderOf, quantile } from './src/figures.js';
import { sharesOf } from './src/profile.js';
import type { Round } from './src/protocol.js';
import { drawChart } from './src/report/chart.js';
import { reportWorkload } from './src/report/report-workload.js';
import { markdownTable, plainTable } from './src/report/table.js';
import { profileLine } from './src/report/workload-tables.js';
import { isCompared, type Workload } from './src/workload.js';
import { WORKLOADS } from './src/workloads/index.js';

const MEBIBYTE = 2 ** 20;

function rounds(walls: readonly number[]): Round[] {
  return walls.map((wall) => ({ wall, cpu: wall * 2, peak: 90 * MEBIBYTE, idle: 50 * MEBIBYTE }));
}

const workload: Workload = {
  name: 'example',
  title: 'An example',
  contenders: [],
  base: 'base',
  goals: [
    { of: 'fast', atMost: 0.5 },
    { of: 'slow', over: 'fast', atLeast: 5 },
    { of: 'slow', within: 0.2 },
    { of: 'fast', mebibytesAboveIdle: 40 },
    { of: 'absent', atMost: 1 },
  ],
  full: { operations: 10 },
  smoke: { operations: 1 },
};

const measured = new Map([
  ['base', rounds([100, 200, 400])],
  ['fast', rounds([50, 80, 160])],
  ['slow', rounds([300, 500, 800])],
]);

describe('the figures of a benchmark', () => {
  it('are the median and the quartiles, between two values where they must be', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(quantile([1, 2, 3, 4, 5], 0.25)).toBe(2);
    expect(quantile([0, 1], 0.25)).toBe(0.25);
  });

  it('compare each round with the base in the same round', () => {
    const { contenders } = reportWorkload(workload, 10, measured, []);
    const fast = contenders.find(({ name }) => name === 'fast');
    expect(fast).toEqual({ name: 'fast', wall: 0.4, spread: [0.4, 0.45], cpu: 0.4, peak: 90, aboveIdle: 40 });
  });

  it('have beside them what the first round took, with cold code', () => {
    const [base, fast] = rounds([1_000, 700]);
    const firsts = new Map([
      ['base', base],
      ['fast', fast],
    ]);
    const { contenders } = reportWorkload(workload, 10, measured, [], firsts);
    expect(contenders.map(({ cold }) => cold)).toEqual([1, 0.7, undefined]);
  });

  it('are the used share of the budget where a difference is the point', () => {
    const { contenders, figure } = reportWorkload({ ...workload, budget: 5 }, 10, measured, []);
    expect(figure).toBe('share');
    expect(contenders.map(({ wall }) => wall)).toEqual([0, -2.4, 6]);
  });

  it('are held against the goals of those who took part', () => {
    const { goals } = reportWorkload(workload, 10, measured, []);
    expect(goals).toEqual([
      { text: 'fast at most 0.50 of base', value: 0.4, distance: 0.8, isMet: true },
      { text: 'slow at least 5 × fast', value: 6.25, distance: 0.8, isMet: true },
      { text: 'slow within 20 % of base', value: 2.5, distance: 7.5, isMet: false },
      { text: 'fast at most 40 MiB above idle', value: 40, distance: 1, isMet: true },
    ]);
  });

  it('are what the contenders count themselves where they are amounts, a row for each thing', () => {
    const counted = (queue: number): Round[] =>
      rounds([1, 2]).map((round) => ({ ...round, amounts: { queue, idle: 3 } }));
    const { contenders, figure, goals } = reportWorkload(
      {
        ...workload,
        unit: 'KiB',
        goals: [
          { of: 'queue', atMost: 4 },
          { of: 'queue', over: 'idle', atMostMore: 1 },
        ],
      },
      10,
      new Map([['fast', counted(5)]]),
      [],
    );
    expect(figure).toBe('amount');
    expect(contenders.map(({ name, wall }) => [name, wall])).toEqual([
      ['queue', 5],
      ['idle', 3],
    ]);
    expect(goals).toEqual([
      { text: 'queue at most 4 KiB', value: 5, distance: 1.25, isMet: false },
      { text: 'queue at most 1 more than idle', value: 2, distance: 2, isMet: false },
    ]);
  });

  it('are none where the base failed', () => {
    const { contenders, goals } = reportWorkload(workload, 10, new Map([['fast', rounds([1])]]), [
      'base broke',
    ]);
    expect([contenders, goals]).toEqual([[], []]);
  });
});

describe('the goals', () => {
  const compared = WORKLOADS.filter(({ unit }) => unit === undefined);

  it.each(compared)('of $name are about those that take part', ({ contenders, goals }) => {
    const names = contenders.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining(goals.flatMap((goal) => ('over' in goal ? [goal.of, goal.over] : [goal.of]))),
    );
  });
});

describe('those whom a workload compares', () => {
  it.each([
    ['its base', 'base', true],
    ['one that a goal is about', 'fast', true],
    ['one by which a goal measures another', 'floor', true],
    ['no other one', 'Knex', false],
  ])('are %s', (_, name, isOne) => {
    const goals = [{ of: 'fast', over: 'floor', cpuAtMost: 1.5 }];
    expect(isCompared({ base: 'base', goals }, { name })).toBe(isOne);
  });
});

describe('the chart', () => {
  it('has bars to the left of the base line for what is faster, and to the right for what is slower', () => {
    const report = reportWorkload(workload, 10, measured, []);
    const versions = {};
    const environment = { processors: '', memory: 1, platform: '', node: '', postgresql: '', versions };
    const svg = drawChart({ date: '2026-01-01', smoke: false, environment, workloads: [report] });
    const bars = [...svg.matchAll(/<rect class="peer" x="([\d.]+)"[^>]* width="([\d.]+)"/g)];
    const [base, fast, slow] = bars.map(([, x, width]) => ({ x: Number(x), end: Number(x) + Number(width) }));
    expect(fast?.end).toBeCloseTo(base?.x ?? 0, 0);
    expect(slow?.x).toBe(base?.x);
  });
});

describe('the tables', () => {
  const table = { headings: ['', 'ratio'], rows: [['a peer', '1.00'] as const, ['b', '10.00'] as const] };

  it('are aligned for a terminal', () => {
    expect(plainTable(table)).toBe(
      ['        ratio', '──────  ─────', 'a peer   1.00', 'b       10.00'].join('\n'),
    );
  });

  it('are aligned in Markdown', () => {
    expect(markdownTable(table)).toBe(
      ['|        | ratio |', '| ------ | ----: |', '| a peer |  1.00 |', '| b      | 10.00 |'].join('\n'),
    );
  });
});

describe('the rounds of a benchmark', () => {
  it('have each contender in each place, and behind each other', () => {
    const orders = [0, 1, 2, 3, 4, 5, 6].map((round) => orderOf(['a', 'b', 'c'], round).join(''));
    expect(orders).toEqual(['abc', 'acb', 'cab', 'cba', 'bca', 'bac', 'abc']);
    expect(orderOf([], 3)).toEqual([]);
  });

  it('refuse results that are wrong', async () => {
    const run = runCallers(
      { count: 2, operations: 4 },
      async (index) => index,
      (index) => index + 1,
    );
    await expect(run).rejects.toThrow('add up to 6 instead of 10');
  });

  it('spread the operations over the callers, each of which awaits one before the next', async () => {
    const running: number[] = [];
    let most = 0;
    await runCallers(
      { count: 3, operations: 9 },
      async (index) => {
        running.push(index);
        most = Math.max(most, running.length);
        await Promise.resolve();
        running.splice(running.indexOf(index), 1);
        return index;
      },
      (index) => index,
    );
    expect(most).toBe(3);
  });
});

describe('the delay proxy', () => {
  it('delays each direction and keeps the order, and what is sent together comes together', async () => {
    const echo = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
    await once(echo, 'listening');
    const { port } = echo.address() as AddressInfo;
    const proxy = await DelayProxy.start(`postgresql://user@127.0.0.1:${port}/database`, 40);
    const client: Socket = connect({
      port: Number(new URL(proxy.url).port),
      host: '127.0.0.1',
      noDelay: true,
    });
    await once(client, 'connect');
    const sent = performance.now();
    const text = Array.from({ length: 50 }, (_, index) => `${index},`).join('');
    for (const part of text.split(/(?<=,)/)) client.write(part);
    let received = '';
    while (received.length < text.length) received += String((await once(client, 'data'))[0]);
    const took = performance.now() - sent;
    client.destroy();
    await proxy.close();
    echo.close();
    expect(received).toBe(text);
    expect(took).toBeGreaterThanOrEqual(80);
    // 50 parts one after the other would take 4,000 ms.
    expect(took).toBeLessThan(2_000);
  });
});

describe('a profile', () => {
  const frames: readonly (readonly [name: string, url: string])[] = [
    ['(idle)', ''],
    ['writev', ''],
    ['execute', 'file:///library/dist/engine/executor.js'],
    ['parse', 'file:///elsewhere/node_modules/pg-protocol/dist/parser.js'],
    ['emit', 'node:events'],
    ['query', 'file:///elsewhere/node_modules/kysely/dist/index.js'],
  ];
  const profile = {
    nodes: frames.map(([functionName, url], index) => ({
      id: index + 1,
      callFrame: { functionName, url, scriptId: '1', lineNumber: 0, columnNumber: 0 },
    })),
    startTime: 0,
    endTime: 100,
    samples: [1, 2, 3, 3, 4, 5, 6],
    timeDeltas: [40, 20, 10, 10, 10, 9.8, 0.2],
  };

  it('shares the time out by what the code belongs to', () => {
    expect(sharesOf(profile, 'file:///library/dist/')).toEqual({
      waiting: 0.4,
      'writes to the socket': 0.2,
      'nest-async-engine': 0.2,
      pg: 0.1,
      'Node.js': 0.098,
      others: 0.002,
    });
  });

  it('is told in one sentence, the largest part first, without what is nothing', () => {
    const parts = sharesOf(profile, 'file:///library/dist/');
    expect(profileLine({ of: 'us', parts })).toBe(
      'Where the time of us goes: waiting 40 %, writes to the socket 20 %, nest-async-engine 20 %, pg 10 %, Node.js 10 %.',
    );
  });
});
