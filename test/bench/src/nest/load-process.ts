import { setTimeout as pause } from 'node:timers/promises';
import { runCallers } from '../callers.js';
import { quantile } from '../figures.js';
import { accountIdOf, accountOf, type Account } from '../fixtures.js';
import { expectedBalance } from '../workloads/selecting.js';
import { HttpConnection } from './http-connection.js';
import type { LoadAnswer, LoadOrder } from './load.js';

// The process that asks the server: told what by its parent, ends with it.
const connections: HttpConnection[] = [];
/** In a millisecond. */
const NANOSECONDS = 1_000_000;

async function load(order: LoadOrder): Promise<number> {
  const { port, clients, requests, rate } = order;
  while (connections.length < clients) connections.push(await HttpConnection.open(port));
  if (rate !== undefined) return await pacedLoad(rate, requests);
  const ask = (index: number): Promise<number> => askFor(index, connections[index % clients]);
  await runCallers({ count: clients, operations: requests }, ask, expectedBalance);
  return Number.NaN;
}

async function askFor(index: number, connection: HttpConnection | undefined): Promise<number> {
  const id = accountIdOf(index);
  const account = JSON.parse((await connection?.get(`/accounts/${id}`)) ?? '{}') as Account;
  return account.name === accountOf(id).name ? account.balance : Number.NaN;
}

/** So many a second, whatever the answers take; each waits for a connection that has nothing to do. */
async function pacedLoad(rate: number, requests: number): Promise<number> {
  const times: number[] = [];
  // The one that has rested for longest is next: the server closes one that rests for its keep-alive timeout.
  const idle = [...connections];
  const due: number[] = [];
  const begun = performance.now();
  const serve = async (): Promise<void> => {
    const connection = idle.shift();
    if (connection === undefined) return;
    for (let index = due.shift(); index !== undefined; index = due.shift()) {
      const balance = await askFor(index, connection);
      if (balance !== expectedBalance(index))
        throw new Error(`request ${index} was answered with ${balance}`);
      times.push(performance.now() - begun - (index * 1_000) / rate);
    }
    idle.push(connection);
  };
  const serving: Promise<void>[] = [];
  for (let index = 0; index < requests;) {
    const until = Math.min(requests, ((performance.now() - begun) * rate) / 1_000);
    for (; index < until; index += 1) {
      due.push(index);
      if (idle.length > 0) serving.push(serve());
    }
    await pause(1);
  }
  await Promise.all(serving);
  return quantile(times, 0.99) * NANOSECONDS;
}

process.on('message', (order: LoadOrder) => {
  const answer = (message: LoadAnswer): void => void process.send?.(message);
  load(order).then(
    (p99) => answer({ kind: 'done', p99 }),
    (error: unknown) => answer({ kind: 'failed', reason: String(error) }),
  );
});
process.on('disconnect', () => {
  for (const connection of connections) connection.close();
});
