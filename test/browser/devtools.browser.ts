import { createRequire } from 'node:module';
import { mkdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AsyncEngine, DatabaseModule } from 'nest-async-engine';
import { DatabaseDevtoolsModule } from 'nest-async-engine/devtools';
import { fillShop, ShopController } from '../support/nest/devtools-shop.js';
import { startApp } from '../support/nest/nest-app.js';
import type { RunningApp } from '../support/nest/nest-app.js';
import { createDatabase } from '../support/server/postgres.js';
import type { TestDatabase } from '../support/server/postgres.js';
import { launchChromium } from './chromium.js';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** With SCREENSHOTS=1 the pictures of the guide are made anew. */
const PICTURES =
  process.env['SCREENSHOTS'] === undefined
    ? undefined
    : fileURLToPath(new URL('../../docs/guide/images/', import.meta.url));

const TABS = ['Requests', 'Statements', 'Pool', 'Locks', 'Findings'];

describe('the page of the devtools', () => {
  let database: TestDatabase;
  let running: RunningApp;
  let browser: Browser;
  let page: Page;
  let complaints: string[];

  beforeAll(async () => {
    browser = await launchChromium();
    if (PICTURES !== undefined) await mkdir(PICTURES, { recursive: true });
  });

  afterAll(async () => {
    await browser?.close();
  });

  beforeEach(async () => {
    database = await createDatabase('devtools_page');
    await fillShop(database);
    running = await startApp({
      imports: [
        DatabaseModule.forRoot({ url: database.url, settings: { deadlock_timeout: '3s' } }),
        DatabaseDevtoolsModule.forRoot(),
      ],
      controllers: [ShopController],
    });
    page = await browser.newPage({ viewport: { width: 1_200, height: 760 } });
    complaints = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    await page.goto(`${running.url}/_database`);
    await page.getByText('live', { exact: true }).waitFor();
  });

  afterEach(async () => {
    await page.close();
    await running.close();
    await database.drop();
    expect(complaints).toEqual([]);
  });

  const visit = (path: string): Promise<unknown> =>
    fetch(`${running.url}/${path}`).then((answer) => answer.text());

  const choose = (name: string): Promise<void> => page.getByRole('tab', { name }).click();

  async function picture(name: string): Promise<void> {
    if (PICTURES === undefined) return;
    const boxes = await Promise.all(
      (await page.locator('.card:visible').all()).map((card) => card.boundingBox()),
    );
    const bottom = Math.max(...boxes.map((box) => (box === null ? 0 : box.y + box.height)));
    const { width, height } = page.viewportSize() ?? { width: 0, height: 0 };
    const clip = { x: 0, y: 0, width, height: Math.min(height, Math.ceil(bottom) + 24) };
    await page.screenshot({ path: `${PICTURES}devtools-${name}.png`, clip });
  }

  async function violations(): Promise<string[]> {
    // Evaluated, because the page lets no script in but its own.
    await page.evaluate(await readFile(AXE, 'utf8'));
    return await page.evaluate(async () => {
      const { axe } = globalThis as unknown as {
        axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
      };
      const found = await axe.run();
      return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
    });
  }

  it('has nothing on any tab but the figures of the pool before a request comes, and no tab moves', async () => {
    const left = await page.getByRole('tab', { name: 'Findings' }).boundingBox();
    for (const tab of TABS) {
      await choose(tab);
      expect([tab, await page.locator('.card:visible').count()]).toEqual([tab, tab === 'Pool' ? 1 : 0]);
    }
    expect(await page.getByRole('tab', { name: 'Findings' }).boundingBox()).toEqual(left);
    await choose('Pool');
    expect(await page.locator('svg .line').count()).toBe(0);
  });

  it('shows two requests as they come, the newest first', async () => {
    await visit('place');
    await visit('orders');
    await page.locator('.unit').nth(1).waitFor();
    expect(await page.locator('.unit .name').allInnerTexts()).toEqual(['GET /orders', 'GET /place']);
    await expect.poll(() => page.locator('.unit[data-outcome="running"]').count()).toBe(0);
    await picture('requests');
  });

  it('folds N + 1 into one line, and lists it as a finding that leads to its request', async () => {
    await visit('orders');
    await page.locator('.unit').waitFor();
    await page.locator('details summary', { hasText: '× 6 · N + 1' }).click();
    expect(await page.locator('details .step').count()).toBe(7);
    await picture('n-plus-1');
    await choose('Findings');
    expect(await page.locator('.finding').innerText()).toContain('devtools-shop.ts');
    await page.getByRole('button', { name: 'Show the request' }).click();
    expect(await page.getByRole('tab', { name: 'Requests' }).getAttribute('aria-selected')).toBe('true');
  });

  it('strikes out what a nested rollback has undone, and nothing else', async () => {
    await visit('place');
    await page.locator('.unit').waitFor();
    await page.locator('section[aria-label="Timeline"] .undone').first().waitFor();
    const struck = page.locator('.step[data-fate="undone"] .sql');
    await expect.poll(() => struck.allInnerTexts()).toEqual(['INSERT INTO item VALUES (101)']);
    await picture('nested-rollback');
  });

  it('shows a wait for a connection as one, in front of the statement that it was for', async () => {
    const { pool } = running.get(AsyncEngine);
    const { poolSize, maxOverflow } = pool.options;
    const held = await Promise.all(Array.from({ length: poolSize + maxOverflow }, () => pool.connect()));
    const placing = visit('place');
    await expect.poll(() => pool.waiting()).toBe(1);
    await Promise.all(held.map((pooled) => pooled.close()));
    await placing;
    await page.locator('.unit[data-outcome="committed"]').waitFor();
    await page.locator('.step .kept', { hasText: 'COMMIT' }).waitFor();
    const steps = await page.locator('.steps .step .what').allInnerTexts();
    expect(steps.map((step) => step.split('\n')[0])).toEqual([
      'BEGIN … COMMIT',
      'waits for a connection',
      'INSERT INTO item VALUES (100)',
      'SAVEPOINT … ROLLBACK TO SAVEPOINT',
      expect.stringContaining('INSERT INTO item VALUES (101)'),
    ]);
    expect(await page.locator('.track i[data-kind="wait"]').count()).toBe(1);
    await picture('wait');
  });

  it('shows two handlers that wait for each other, with their names and lines', async () => {
    const both = Promise.all([visit('first'), visit('second')]);
    await choose('Locks');
    const tree = page.getByRole('list', { name: 'Who waits for whom' });
    await tree.getByText('waits').nth(1).waitFor();
    const text = await tree.innerText();
    expect(text).toContain('GET /first');
    expect(text).toContain('GET /second');
    expect(text).toContain('devtools-shop.ts');
    await picture('deadlock');
    await both;
    await choose('Requests');
    await expect
      .poll(async () => (await page.locator('.unit').allInnerTexts()).join('\n'))
      .toMatch(/rolled back[\s\S]*committed|committed[\s\S]*rolled back/);
  });

  it('explains a statement by one click', async () => {
    await visit('orders');
    await choose('Statements');
    await page
      .getByRole('row', { name: 'SELECT * FROM item WHERE id' })
      .getByRole('button', { name: 'Explain' })
      .click();
    await page.locator('pre').first().waitFor();
    expect(await page.locator('pre').innerText()).toContain('Scan');
  });

  it('shows the plan of a statement that has run again before the server answered', async () => {
    await visit('orders');
    await choose('Statements');
    let answer: () => void = () => undefined;
    const mayAnswer = new Promise<void>((resolve) => (answer = resolve));
    await page.route('**/explain', async (route) => {
      await mayAnswer;
      await route.continue();
    });
    const row = page.getByRole('row', { name: 'SELECT * FROM item WHERE id' });
    await row.getByRole('button', { name: 'Explain' }).click();
    await visit('orders');
    await row.getByRole('cell', { name: '12', exact: true }).first().waitFor();
    answer();
    expect(await row.locator('pre').innerText()).toContain('Scan');
  });

  it('is used by keyboard alone', async () => {
    await visit('orders');
    await page.locator('.unit').waitFor();
    await page.keyboard.press('Tab');
    await page.keyboard.press('ArrowRight');
    expect(await page.getByRole('tab', { name: 'Statements' }).getAttribute('aria-selected')).toBe('true');
    await page.keyboard.press('End');
    expect(await page.locator(':focus').innerText()).toContain('Findings');
    await page.getByRole('button', { name: 'Show the request' }).waitFor();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.locator('section[aria-label="Timeline"] h2').waitFor();
  });

  it.each(['light', 'dark'] as const)(
    'has no barrier that axe finds, on any tab, in %s',
    async (colorScheme) => {
      await page.emulateMedia({ colorScheme });
      await visit('orders');
      await visit('place');
      await page.locator('.unit').first().waitFor();
      for (const tab of TABS) {
        await choose(tab);
        expect([tab, ...(await violations())]).toEqual([tab]);
      }
    },
  );

  it('fits into 375 pixels', async () => {
    await page.setViewportSize({ width: 375, height: 700 });
    await visit('place');
    await visit('orders');
    await page.locator('.unit').first().waitFor();
    for (const tab of TABS) {
      await choose(tab);
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(375);
    }
    await choose('Statements');
    const table = page.locator('.statements');
    expect(await table.evaluate(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)).toBe(0);
    expect(await table.getByRole('row').nth(1).innerText()).toMatch(/INSERT|SELECT/);
  });

  it('says so when the application is gone', async () => {
    await running.app.close();
    await page.getByText('The application does not answer').waitFor();
    expect(await page.locator('#live').getAttribute('data-state')).toBe('lost');
    // The browser itself complains of the connection that it lost.
    complaints = [];
  });
});
