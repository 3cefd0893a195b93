import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import type { Browser } from 'playwright-core';

/** Where a Chromium usually lies. `CHROMIUM` in the environment wins. */
const PLACES: readonly string[] = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

export async function launchChromium(): Promise<Browser> {
  const executablePath = process.env['CHROMIUM'] ?? PLACES.find((place) => existsSync(place));
  if (executablePath === undefined) {
    throw new Error(
      'no Chromium was found. Install it (Debian: apt-get install chromium), or name one by CHROMIUM=/path/to/it.',
    );
  }
  // Root, as in a container, has no sandbox.
  return await chromium.launch({ executablePath, chromiumSandbox: process.getuid?.() !== 0 });
}
