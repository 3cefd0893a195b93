import type { INestApplication } from '@nestjs/common';
import { AsyncEngine } from 'nest-async-engine';
import type { ReplicaStatus } from 'nest-async-engine/engine';
import { startEmbeddedPostgres, type EmbeddedPostgres } from 'nest-async-engine/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ADAPTERS } from '../../../test/support/nest/nest-app.js';
import { eventually } from '../../../test/support/process/barrier.js';
import { createApp } from '../src/create-app.js';
import type { Notes } from '../src/notes.service.js';

describe.each(ADAPTERS)('the notes on %s', (_name, adapter) => {
  let primary: EmbeddedPostgres;
  let app: INestApplication;
  let url: string;

  beforeEach(async () => {
    primary = await startEmbeddedPostgres({ replicas: 1 });
    app = await createApp(primary, adapter());
    app.useLogger(false);
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
    await eventually(async () => expect(await read()).toEqual({ notes: 0, server: 'standby' }));
  });
  afterEach(async () => {
    await eventually(() => expect(app.get(AsyncEngine).pool.checkedOut()).toBe(0));
    await app.close();
    await primary.stop();
  });

  const post = (path: string) => fetch(`${url}/${path}`, { method: 'POST' });
  const read = async (cookie = ''): Promise<Notes> =>
    (await (await fetch(`${url}/notes`, { headers: { cookie } })).json()) as Notes;
  const replicas = async (): Promise<ReplicaStatus[]> =>
    (await (await fetch(`${url}/replicas`)).json()) as ReplicaStatus[];

  it('a paused standby serves those who have written nothing, and no one misses their own writes', async () => {
    expect((await post('standby/pause')).status).toBe(204);
    expect(await (await post('notes/read')).json()).toEqual({
      written: { notes: 1, server: 'primary' },
      read: { notes: 1, server: 'primary' },
    });
    const [cookie] = (await post('notes')).headers.getSetCookie();
    expect(await read(cookie?.split(';')[0])).toEqual({ notes: 2, server: 'primary' });
    expect(await read()).toEqual({ notes: 0, server: 'standby' });
    expect((await post('standby/follow')).status).toBe(204);
    await eventually(async () =>
      expect(await read(cookie?.split(';')[0])).toEqual({ notes: 2, server: 'standby' }),
    );
  });

  it('reads run on the primary when the standby is gone', async () => {
    expect(await replicas()).toMatchObject([{ role: 'standby', usable: true }]);
    expect((await post('standby/stop')).status).toBe(204);
    expect(await read()).toEqual({ notes: 0, server: 'primary' });
    expect(await replicas()).toMatchObject([{ usable: false, problem: 'unreachable' }]);
  });

  it('has a page that links to the page of the database', async () => {
    const page = await (await fetch(url)).text();
    expect(page).toContain('Write and read at once');
    expect(page).toContain('href="/_database"');
    expect((await fetch(`${url}/_database`)).status).toBe(200);
  });
});
