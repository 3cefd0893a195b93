import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, mkdir, readdir, readFile, rm, writeFile, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  type AsyncEngine,
  ConnectionLostError,
  createAsyncEngine,
  OperationalError,
  text,
} from 'nest-async-engine/engine';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { failureOf } from '../../../support/items.js';
import { crash } from '../../../support/server/pglite.js';
import { visibleNames } from '../../../support/process/outcome.js';

/** An instance takes seconds to make, and many of them where the machine is busy. */
const PATIENCE = 120_000;

let parent: string;
let folder: string;
const engines: AsyncEngine[] = [];

function open(place = folder): AsyncEngine {
  const engine = createAsyncEngine(`postgresql+pglite:///${place}`);
  engines.push(engine);
  return engine;
}

beforeAll(async () => {
  parent = await mkdtemp(path.join(tmpdir(), 'pglite-spec-'));
  // Made once and copied for each test: initdb takes seconds.
  folder = path.join(parent, 'template');
  const engine = open();
  await engine.execute(text("CREATE TABLE item AS SELECT 'stored' AS name"));
  await engine.aclose();
}, PATIENCE);
beforeEach(async (context) => {
  folder = path.join(parent, context.task.id);
  await cp(path.join(parent, 'template'), folder, { recursive: true });
});
afterEach(async () => {
  const all = engines.splice(0);
  expect(all.map((engine) => engine.pool.checkedOut())).toEqual(all.map(() => 0));
  await Promise.all(all.map((engine) => engine.aclose()));
});
afterAll(() => rm(parent, { recursive: true, force: true }));

describe('a PGlite database in a folder', { timeout: PATIENCE }, () => {
  it('keeps its data from one engine to the next, and leaves no lock', async () => {
    const engine = open();
    expect(await visibleNames(engine)).toEqual(['stored']);
    await engine.aclose();
    expect((await readdir(parent)).filter((name) => name.includes('.lock'))).toEqual([]);
    expect(await visibleNames(open())).toEqual(['stored']);
  });

  it('may be named relative to the working directory', async () => {
    expect(await visibleNames(open(path.relative(process.cwd(), folder)))).toEqual(['stored']);
  });

  it('is refused to a second engine until the first is closed', async () => {
    const first = open();
    await visibleNames(first);
    const refused = await failureOf(visibleNames(open()));
    expect(refused).toBeInstanceOf(OperationalError);
    expect(refused).toMatchObject({ message: expect.stringMatching(/in use by another engine/) as string });
    await first.aclose();
    expect(await visibleNames(open())).toEqual(['stored']);
  });

  it('is opened anew when its server has ended by itself', async () => {
    const engine = open();
    expect(await crash(engine)).toBeInstanceOf(ConnectionLostError);
    expect(await visibleNames(engine)).toEqual(['stored']);
  });

  it('may be named by a symbolic link, which has the same lock', async () => {
    const link = path.join(parent, `${path.basename(folder)}-link`);
    await symlink(folder, link);
    const engine = open(link);
    expect(await visibleNames(engine)).toEqual(['stored']);
    expect(await failureOf(visibleNames(open()))).toMatchObject({
      message: expect.stringMatching(/in use by another engine/) as string,
    });
    await engine.aclose();
  });

  it.each([
    ['below a file', 'below-a-file', async (place: string) => await writeFile(path.dirname(place), '')],
    [
      'whose lock is a folder',
      'locked',
      async (place: string) => void (await mkdir(`${place}.lock`, { recursive: true })),
    ],
  ])('%s is an OperationalError that names it, and leaves nothing beside it', async (_, name, prepare) => {
    const place = path.join(parent, name, 'data');
    await mkdir(path.dirname(path.dirname(place)), { recursive: true });
    await prepare(place);
    const failure = await failureOf(visibleNames(open(place)));
    expect(failure).toBeInstanceOf(OperationalError);
    expect(failure).toMatchObject({ message: expect.stringContaining(place) as string });
    const beside = await readdir(path.dirname(place)).catch(() => []);
    expect(beside.filter((file) => file !== 'data.lock')).toEqual([]);
  });

  it('that cannot be opened is an error, and leaves no lock', async () => {
    const file = path.join(parent, 'file');
    await writeFile(file, '');
    expect(await failureOf(visibleNames(open(file)))).toMatchObject({
      code: 'OPERATIONAL',
      message: expect.stringContaining(`cannot open PGlite in ${file}: it is not a folder`) as string,
    });
    await expect(readFile(`${file}.lock`)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('the lock of a folder', { timeout: PATIENCE }, () => {
  it('of a process that lives refuses, and names the process', async () => {
    const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000); console.log("up")']);
    await once(other.stdout, 'data');
    const stat = await readFile(`/proc/${other.pid}/stat`, 'utf8').catch(() => '');
    const startedAt = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
    await writeFile(`${folder}.lock`, JSON.stringify({ pid: other.pid, startedAt }));
    const refused = await failureOf(visibleNames(open()));
    other.kill('SIGKILL');
    await once(other, 'exit');
    expect(refused).toMatchObject({
      message: expect.stringContaining(`in use by process ${other.pid}`) as string,
    });
    expect(await visibleNames(open())).toEqual(['stored']);
  });

  it.runIf(process.platform === 'linux')(
    'of an earlier process with the id of a living one is taken over (Linux tells the start of a process)',
    async () => {
      await writeFile(`${folder}.lock`, JSON.stringify({ pid: process.pid, startedAt: '1' }));
      expect(await visibleNames(open())).toEqual(['stored']);
    },
  );

  it('that is no lock is taken over', async () => {
    await writeFile(`${folder}.lock`, 'x');
    expect(await visibleNames(open())).toEqual(['stored']);
  });
});
