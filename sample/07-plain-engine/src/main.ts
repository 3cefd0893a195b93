import { createAsyncEngine } from 'nest-async-engine/engine';
import { startEmbeddedPostgres } from 'nest-async-engine/testing';
import { Ledger, NoMoneyError } from './ledger.js';

const server = process.env['DATABASE_URL'] === undefined ? await startEmbeddedPostgres() : undefined;

{
  await using engine = createAsyncEngine(server?.url ?? process.env['DATABASE_URL'] ?? '', { poolSize: 4 });
  const ledger = new Ledger(engine);
  await ledger.open([
    { owner: 'Ann', cents: 10_000 },
    { owner: 'Bob', cents: 10_000 },
  ]);

  const transfers = Array.from({ length: 20 }, (_, index) =>
    index % 2 === 0 ? ledger.transfer('Ann', 'Bob', 700) : ledger.transfer('Bob', 'Ann', 300),
  );
  await Promise.all(transfers);
  console.log('20 transfers at once:', await ledger.accounts());

  const tooMuch = ledger.transferAll([
    ['Ann', 'Bob', 100],
    ['Ann', 'Bob', 1_000_000],
  ]);
  await tooMuch.catch((error: unknown) => {
    if (!(error instanceof NoMoneyError)) throw error;
    console.log(`all or none: ${error.message} The first of the two is undone as well.`);
  });

  let entries = 0;
  for await (const { cents } of ledger.entries()) if (cents < 0) entries += 1;
  console.log(`${entries} withdrawals, read from a cursor:`, await ledger.accounts());
  console.log(engine.pool.status());
}

await server?.stop();
