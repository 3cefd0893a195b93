import { runCallers } from '../callers.js';
import { accountIdOf, accountOf, type Account } from '../fixtures.js';
import { expectedBalance } from '../workloads/selecting.js';
import { HttpConnection } from './http-connection.js';
import type { LoadAnswer, LoadOrder } from './load.js';

// The process that asks the server: told what by its parent, ends with it.
const connections: HttpConnection[] = [];

async function load({ port, clients, requests }: LoadOrder): Promise<void> {
  while (connections.length < clients) connections.push(await HttpConnection.open(port));
  const ask = async (index: number): Promise<number> => {
    const connection = connections[index % clients];
    const id = accountIdOf(index);
    const account = JSON.parse((await connection?.get(`/accounts/${id}`)) ?? '{}') as Account;
    return account.name === accountOf(id).name ? account.balance : Number.NaN;
  };
  await runCallers({ count: clients, operations: requests }, ask, expectedBalance);
}

process.on('message', (order: LoadOrder) => {
  const answer = (message: LoadAnswer): void => void process.send?.(message);
  load(order).then(
    () => answer({ kind: 'done' }),
    (error: unknown) => answer({ kind: 'failed', reason: String(error) }),
  );
});
process.on('disconnect', () => {
  for (const connection of connections) connection.close();
});
