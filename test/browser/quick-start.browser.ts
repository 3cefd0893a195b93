import type { Browser, Page, Route } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { launchChromium } from './chromium.js';
import { StartedSample } from './started-sample.js';

describe('the page of the quick start', () => {
  let sample: StartedSample;
  let browser: Browser;
  let page: Page;
  let complaints: string[];

  beforeAll(async () => {
    sample = await StartedSample.start('01');
    browser = await launchChromium();
  });

  afterAll(async () => {
    await browser?.close();
    await sample?.[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    page = await browser.newPage();
    complaints = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    await page.goto(sample.url);
    await page.getByText('Live').first().waitFor();
    await page.locator('#product-1').waitFor();
  });

  afterEach(async () => {
    await page.close();
    expect(complaints).toEqual([]);
  });

  async function order(button: string): Promise<void> {
    const answered = page.waitForResponse((response) => response.request().method() === 'POST');
    await page.getByRole('button', { name: button, exact: true }).click();
    await (await answered).finished();
    await page.locator('#story li').first().waitFor();
  }

  it('tells which supplier delivers an order, and shows it as it arrives by the event stream', async () => {
    const reader = await browser.newPage();
    await reader.goto(sample.url);
    const before = await reader.locator('#orders tr').count();

    await order('Place the order');
    expect(await page.locator('#story .undone').count()).toBeGreaterThan(0);
    expect(await page.locator('#story .kept').count()).toBeGreaterThan(0);

    const fresh = reader.locator('#orders tr', { hasText: '5 × Coffee from South' });
    await fresh.first().waitFor();
    expect(await reader.locator('#orders tr').count()).toBeGreaterThan(before);
    await reader.close();
  });

  it('explains a rollback: every step is shown as undone, and the stock is as it was', async () => {
    const stock = await page.locator('#stock').innerText();
    await order('Place it and fail after reserving');

    expect(await page.locator('#story .kept').count()).toBe(0);
    expect(await page.locator('#story .undone').count()).toBeGreaterThan(2);
    expect(await page.locator('#outcome').innerText()).toMatch(/^Not placed\. Something broke/);
    expect(await page.locator('#stock').innerText()).toBe(stock);
  });

  it.each([
    [
      'the shop does not answer',
      /The shop does not answer\. Is it still running\?/,
      (route: Route) => route.abort(),
    ],
    [
      'the database is gone',
      /The shop cannot reach its database just now\./,
      (route: Route) => route.fulfill({ status: 503, body: 'Service Unavailable' }),
    ],
  ])('says what to do when %s, in the language of a person', async (_, message, answer) => {
    await page.route('**/orders', (route) =>
      route.request().method() === 'POST' ? answer(route) : route.continue(),
    );
    await page.getByRole('button', { name: 'Place the order', exact: true }).click();
    await expect.poll(() => page.locator('#outcome').innerText()).toMatch(message);
  });

  it('fits into 375 pixels, light and dark', async () => {
    await page.setViewportSize({ width: 375, height: 760 });
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await page.locator('#stock tr').first().waitFor();
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(375);
    }
  });
});
