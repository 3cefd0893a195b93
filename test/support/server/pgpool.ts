import { join } from 'node:path';
import { Program } from './program.js';

/** A Pgpool-II in front of the server of `targetUrl`; `url` is the same database through it. */
export async function startPgpool(targetUrl: string): Promise<AsyncDisposable & { readonly url: string }> {
  const target = new URL(targetUrl);
  const settings = (port: number, folder: string): string =>
    Object.entries({
      backend_clustering_mode: 'streaming_replication',
      listen_addresses: '127.0.0.1',
      port,
      socket_dir: folder,
      pcp_listen_addresses: '',
      pcp_socket_dir: folder,
      pid_file_name: join(folder, 'pgpool.pid'),
      logdir: folder,
      backend_hostname0: target.hostname,
      backend_port0: target.port,
      backend_weight0: 1,
      backend_flag0: 'ALWAYS_PRIMARY|DISALLOW_TO_FAILOVER',
      num_init_children: 8,
      max_pool: 2,
      sr_check_period: 0,
      health_check_period: 0,
      load_balance_mode: 'on',
      pool_passwd: join(folder, 'pool_passwd'),
      allow_clear_text_frontend_auth: 'on',
    })
      .map(([name, value]) => `${name} = '${value}'\n`)
      .join('');
  const program = await Program.start(
    'pgpool',
    ({ port, folder }) => ({
      'pgpool.conf': settings(port, folder),
      'pcp.conf': '',
      pool_passwd: `${target.username}:TEXT${decodeURIComponent(target.password)}\n`,
    }),
    ({ folder }) => ['-n', '-f', join(folder, 'pgpool.conf'), '-F', join(folder, 'pcp.conf')],
  );
  target.host = `127.0.0.1:${program.port}`;
  // In its slow way it ends the processes that it has started.
  return { url: target.href, [Symbol.asyncDispose]: () => program.end('SIGINT') };
}
