import 'reflect-metadata';
import { UnauthorizedException } from '@nestjs/common';
import type { CanActivate } from '@nestjs/common';
import { EMPTY, of } from 'rxjs';
import type { Observable } from 'rxjs';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { DatabaseModule } from 'nest-async-engine';
import { DatabaseDevtoolsModule } from 'nest-async-engine/devtools';
import type { DatabaseDevtoolsOptions } from 'nest-async-engine/devtools';
import { ADAPTERS, startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

describe.each(ADAPTERS)('who sees the page on %s', (_name, adapter) => {
  let database: TestDatabase;
  let running: RunningApp | undefined;

  beforeAll(async () => {
    database = await createDatabase('devtools_access');
  });
  afterAll(() => database.drop());

  afterEach(async () => {
    await running?.close();
    running = undefined;
    vi.unstubAllEnvs();
  });

  async function start(pages: readonly DatabaseDevtoolsOptions[], prefix = ''): Promise<string> {
    const imports = [DatabaseModule.forRoot({ url: database.url })];
    imports.push(...pages.map((options) => DatabaseDevtoolsModule.forRoot(options)));
    running = await startApp({ imports }, adapter(), (app) => app.setGlobalPrefix(prefix));
    return running.url;
  }

  const statusOf = async (page: string, headers: Record<string, string> = {}): Promise<number> => {
    const leaving = new AbortController();
    const answer = await fetch(page, { headers, signal: leaving.signal });
    const isStream = answer.headers.get('content-type')?.startsWith('text/event-stream') === true;
    if (isStream) leaving.abort();
    else await answer.text();
    return answer.status;
  };

  class Allows implements CanActivate {
    canActivate = (): boolean => true;
  }

  it.each<[string, DatabaseDevtoolsOptions['guard'], number]>([
    ['says yes', () => true, 200],
    ['says no', () => false, 403],
    ['promises no', () => Promise.resolve(false), 403],
    ['throws', () => expectSignedIn(), 401],
    ['rejects', () => Promise.reject(new UnauthorizedException()), 401],
    ['emits yes', () => of(true), 200],
    ['emits no', () => of(false), 403],
    ['emits no behind a yes', () => of(true, false), 403],
    ['emits nothing', () => EMPTY, 403],
    ['says something else', (() => ({ user: 'me' })) as never, 403],
    [
      'is a class with a method',
      class implements CanActivate {
        canActivate = (): Observable<boolean> => of(false);
      },
      403,
    ],
    ['is a class with a property', Allows, 200],
  ])('is asked of a guard that %s, for the page, its events and its plans', async (_, guard, status) => {
    vi.stubEnv('NODE_ENV', 'production');
    const page = `${await start([{ guard }])}/_database`;
    const explain = await fetch(`${page}/explain`, { method: 'POST' });
    await explain.text();
    expect([await statusOf(page), await statusOf(`${page}/events`), explain.status]).toEqual([
      status,
      status,
      status === 200 ? 400 : status,
    ]);
  });

  it('is only this machine where NODE_ENV is not set', async () => {
    vi.stubEnv('NODE_ENV', undefined);
    const page = `${await start([{}])}/_database`;
    const statuses = [{}, { 'x-forwarded-for': '203.0.113.9' }, { forwarded: 'for=203.0.113.9' }].map(
      (headers) => statusOf(page, headers as Record<string, string>),
    );
    expect(await Promise.all(statuses)).toEqual([200, 403, 403]);
    expect(await statusOf(`${page}/events`, { forwarded: 'for=203.0.113.9' })).toBe(403);
  });

  it('is everybody where NODE_ENV says development', async () => {
    vi.stubEnv('NODE_ENV', 'development');
    const page = `${await start([{}])}/_database`;
    expect(await statusOf(page, { 'x-forwarded-for': '203.0.113.9' })).toBe(200);
  });

  it('is asked behind a global prefix, too', async () => {
    vi.stubEnv('NODE_ENV', 'production');
    const url = await start([{ guard: () => false }], 'api');
    expect([await statusOf(`${url}/api/_database`), await statusOf(`${url}/_database`)]).toEqual([403, 404]);
  });

  it('is not left open by a second page at the same path', async () => {
    await expect(start([{}, { guard: () => false }])).rejects.toThrow(
      /two DatabaseDevtoolsModules at \/_database/,
    );
  });

  it('may differ from page to page', async () => {
    const url = await start([{ path: '/_one' }, { path: '/_two', guard: () => false }]);
    expect([await statusOf(`${url}/_one`), await statusOf(`${url}/_two`)]).toEqual([200, 403]);
  });
});

function expectSignedIn(): never {
  throw new UnauthorizedException();
}
