import { describe, expect, it } from 'vitest';
import { nodeProgram } from './src/node-program.js';
import { REASONS } from './src/reasons.js';
import { merge } from './src/report/merge.js';
import { writeNotes } from './src/report/notes.js';
import { writePage } from './src/report/page.js';
import { drawPictures } from './src/report/pictures.js';
import type { Report } from './src/report/report.js';
import { WORKLOADS } from './src/workloads/index.js';

/** Of a run on that Node.js: every workload with a goal that was reached and one that was missed. */
function run(node: string, ...names: readonly string[]): Report {
  return {
    date: '2026-01-01',
    smoke: false,
    environment: { processors: '', memory: 1, platform: '', node, postgresql: '', versions: {} },
    workloads: names.map((name) => ({
      name,
      title: `Title of ${name}`,
      base: 'base',
      rounds: 3,
      figure: 'ratio',
      contenders: [{ name: 'base', wall: 1, spread: [1, 1], cpu: 1, peak: 90, aboveIdle: 40 }],
      changes: [],
      goals: [
        { text: 'slow at least 5 × fast', value: 6.25, distance: 0.8, isMet: true },
        { text: 'slow at most 2.00 of base', value: 2.5, distance: 1.25, isMet: false },
      ],
      failures: [],
      absences: ['MikroORM needs Node.js 22; this is 20.'],
    })),
  };
}

describe('several runs', () => {
  it('are one for each Node.js, in the order of the versions and of the workloads', () => {
    const merged = merge([
      run('24.1.0', 'transaction'),
      run('20.1.0', 'stream'),
      run('24.1.0', 'point-select'),
    ]);
    expect(
      merged.map(({ environment, workloads }) => [environment.node, ...workloads.map(({ name }) => name)]),
    ).toEqual([
      ['20.1.0', 'stream'],
      ['24.1.0', 'point-select', 'transaction'],
    ]);
  });

  it('give the last figures of a workload that ran twice', () => {
    const first = run('20.1.0', 'stream');
    const again = { ...first, workloads: first.workloads.map((one) => ({ ...one, title: 'again' })) };
    expect(merge([first, again])[0]?.workloads.map(({ title }) => title)).toEqual(['again']);
  });

  it('are a page with a column of goals for each Node.js, and name its pictures', () => {
    const reports = [run('20.1.0', 'stream'), run('24.1.0', 'stream')];
    const page = writePage(reports);
    expect(page).toMatch(/\| goal +\| +Node.js 20 \| +Node.js 24 \|/);
    expect(page).toContain('6.25');
    expect(page).toContain('2.50 missed');
    expect(page).toContain('Absent: MikroORM needs Node.js 22');
    const pictures = [...page.matchAll(/\]\((.+\.svg)\)/g)].map(([, file]) => file);
    expect(pictures).toEqual(drawPictures(reports).map(({ file }) => file));
  });

  it('take a version of Node.js that is promised and no other', () => {
    expect(() => nodeProgram('18')).toThrow("--node got '18'; it takes 20, 22, 24, 26.");
  });
});

describe('the notes', () => {
  const page =
    'Before.\n\n<!-- written by npm run bench: begin -->\nold\n<!-- written by npm run bench: end -->\n\nBehind.\n';

  it('say of each goal whether it was reached, or by how much it was missed, on each Node.js', () => {
    const notes = writeNotes([run('20.1.0', 'stream'), run('24.1.0', 'stream')], page);
    expect(notes).toContain(
      '- slow at most 2.00 of base: 2.50 on Node.js 20 (missed by 25 %), 2.50 on Node.js 24 (missed by 25 %).',
    );
    expect(notes).toContain('6.25 on Node.js 20 (reached)');
    expect(notes).toContain(REASONS['stream']);
  });

  it('keep what people wrote around the generated part, and nothing of the part before', () => {
    const notes = writeNotes([run('20.1.0', 'stream')], page);
    expect(notes.startsWith('Before.\n')).toBe(true);
    expect(notes.endsWith('\n\nBehind.\n')).toBe(true);
    expect(notes).not.toContain('old');
    expect(writeNotes([run('20.1.0', 'stream')], notes)).toBe(notes);
  });

  it('explain workloads that exist', () => {
    const names = new Set([...WORKLOADS.map(({ name }) => name), 'long-run']);
    expect(Object.keys(REASONS).filter((name) => !names.has(name))).toEqual([]);
  });
});
