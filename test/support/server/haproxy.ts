import { join } from 'node:path';
import { Program } from './program.js';

/** A HAProxy in front of the servers of `targetUrls`; `url` is the first database, through it. */
export async function startHaproxy(
  targetUrls: readonly [string, ...string[]],
  idleTimeout: number,
): Promise<AsyncDisposable & { readonly url: string }> {
  const targets = targetUrls.map((url) => new URL(url));
  const servers = targets.map(
    ({ hostname, port }, index) =>
      `  server s${index} ${hostname}:${port} check inter 100ms fall 1 rise 1 on-marked-down shutdown-sessions\n`,
  );
  const program = await Program.start(
    'haproxy',
    ({ port }) => ({
      'haproxy.cfg':
        `defaults\n  mode tcp\n  retries 3\n  option redispatch\n  timeout connect 1s\n` +
        `  timeout client ${idleTimeout}ms\n  timeout server ${idleTimeout}ms\n` +
        `listen postgres\n  bind 127.0.0.1:${port}\n  balance roundrobin\n${servers.join('')}`,
    }),
    ({ folder }) => ['-f', join(folder, 'haproxy.cfg'), '-db'],
  );
  const url = new URL(targetUrls[0]);
  url.host = `127.0.0.1:${program.port}`;
  return { url: url.href, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
}
