import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { INestApplication } from '@nestjs/common';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../lib/embedded/embedded-postgres.js';
import { createApp } from '../../sample/08-replicas/src/create-app.js';
import { killServer } from '../support/server/standby.js';
import { launchChromium } from './chromium.js';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

describe('the page of the primary and its standby', () => {
  let primary: EmbeddedPostgres;
  let app: INestApplication;
  let browser: Browser;
  let page: Page;
  let complaints: string[];

  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser?.close());

  beforeEach(async () => {
    primary = await startEmbeddedPostgres({ replicas: 1 });
    app = await createApp(primary);
    await app.listen(0, '127.0.0.1');
    page = await browser.newPage();
    complaints = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    await page.goto(await app.getUrl());
    await expect.poll(() => state(), { timeout: 20_000 }).toBe('yes');
  });
  afterEach(async () => {
    await page.close();
    await app.close();
    await primary.stop();
    for (const standby of primary.replicas) await standby.stop();
  });

  const state = (): Promise<string> => page.locator('#replicas td').nth(3).innerText();
  const click = (name: string): Promise<void> => page.getByRole('button', { name, exact: true }).click();
  /** The newest line of the journal: what, and on which server. */
  const newest = async (): Promise<string[]> =>
    (await page.locator('#journal tr').first().locator('td').allInnerTexts()).slice(0, 2);

  it('shows that a paused standby serves another visitor, and that your own write is read on the primary', async () => {
    await click('Pause it');
    await click('Write and read at once');
    await expect.poll(newest).toEqual(['read at once', 'primary']);
    await click('Read as another visitor');
    await expect.poll(newest).toEqual(['read of another visitor', 'standby']);
    await click('Let it follow');
    expect(complaints).toEqual([]);
  });

  it('says in words that a killed standby does not answer, and goes on reading on the primary', async () => {
    const [standby] = primary.replicas;
    if (standby === undefined) throw new Error('no standby was started');
    await killServer(standby);
    await expect
      .poll(state, { timeout: 20_000 })
      .toBe('no: it does not answer, so that reads run on the primary');
    await click('Read as another visitor');
    await expect.poll(newest).toEqual(['read of another visitor', 'primary']);
    expect(complaints).toEqual([]);
    await click('Pause it');
    await expect
      .poll(() => page.locator('#message').innerText())
      .toBe('The standby does not answer: it is gone.');
  });

  it('says that the application does not answer', async () => {
    await page.route('**/notes', (route) => route.abort());
    await page.route('**/replicas', (route) => route.abort());
    await click('Read');
    await expect
      .poll(() => page.locator('#message').innerText())
      .toBe('The application does not answer. Is it still running?');
  });

  it.each(['light', 'dark'] as const)(
    'has no barrier that axe finds, and fits into 375 pixels, in %s',
    async (colorScheme) => {
      await page.setViewportSize({ width: 375, height: 760 });
      await page.emulateMedia({ colorScheme });
      await click('Write');
      await expect.poll(newest).toEqual(['write', 'primary']);
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(375);
      await page.evaluate(await readFile(AXE, 'utf8'));
      const found = await page.evaluate(async () => {
        const { axe } = globalThis as unknown as {
          axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
        };
        return (await axe.run()).violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]);
      });
      expect(found).toEqual([]);
      expect(complaints).toEqual([]);
    },
  );
});
