import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { launchChromium } from './chromium.js';
import { StartedSample } from './started-sample.js';

describe('the page of the streaming sample', () => {
  let sample: StartedSample;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    sample = await StartedSample.start('04');
    browser = await launchChromium();
  });

  afterAll(async () => {
    await browser?.close();
    await sample?.[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    page = await browser.newPage();
    await page.goto(sample.url);
    await page.getByText('listening').waitFor();
  });

  afterEach(async () => {
    await page.close();
    await expect.poll(inUse).toBe(0);
  });

  async function inUse(): Promise<number> {
    const health = (await (await fetch(`${sample.url}/health`)).json()) as { connectionsInUse: number };
    return health.connectionsInUse;
  }

  const rows = async (): Promise<number> =>
    Number((await page.locator('#rows').innerText()).replaceAll(',', ''));

  it('reads a million rows', async () => {
    await page.getByRole('button', { name: 'Read' }).click();
    await page.locator('#hang-up:disabled').waitFor();
    expect(await rows()).toBe(1_000_000);
  });

  it('gives the connection back when the reader hangs up in the middle', async () => {
    await page.getByRole('button', { name: 'Read' }).click();
    await expect.poll(rows).toBeGreaterThan(0);
    await page.getByRole('button', { name: 'Hang up' }).click();
    await page.locator('#hang-up:disabled').waitFor();
    expect(await rows()).toBeLessThan(1_000_000);
    // What is left is the listener's.
    await expect.poll(inUse).toBeLessThanOrEqual(1);
  });

  it('shows on every open page what one of them measures', async () => {
    const other = await browser.newPage();
    await other.goto(sample.url);
    await other.getByText('listening').waitFor();
    // LISTEN may still be on its way: the one who measures hears himself when it has arrived.
    await expect
      .poll(async () => {
        await page.getByRole('button', { name: 'Measure' }).click();
        return [await page.locator('#live li').count(), await other.locator('#live li').count()];
      })
      .toEqual([
        expect.toSatisfy((count: number) => count > 0),
        expect.toSatisfy((count: number) => count > 0),
      ]);
    await other.close();
  });
});
