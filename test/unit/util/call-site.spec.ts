import { describe, expect, it } from 'vitest';
import { CallSite } from '../../../lib/engine/util/call-site.js';
import { promiseTry } from '../../../lib/engine/util/promise-try.js';

describe('CallSite', () => {
  it('names the function and the file that made it', () => {
    function placeOrder(): CallSite {
      return new CallSite();
    }
    expect(placeOrder().toString()).toMatch(/^placeOrder \(.*call-site\.spec\.ts:\d+:\d+\)$/);
  });

  it('leaves out the frames of the library', async () => {
    const site = await promiseTry(() => Promise.resolve(new CallSite()));
    expect(site.toString()).toContain('call-site.spec.ts');
    expect(site.trace()).toContain('call-site.spec.ts');
    expect(site.trace()).not.toContain('promise-try');
  });
});
