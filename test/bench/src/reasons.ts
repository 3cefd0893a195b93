/**
 * By workload: why its figures are what they are, what the profile shows, and what was tried. Numbers stand here only
 * where no run of the benchmarks finds them.
 */
export const REASONS: Readonly<Record<string, string>> = {
  'point-select':
    'The process waits for the server for most of the time; of the rest the write to the socket is the largest part, and this library a ' +
    "few per cent. Tried: one write for the batch, no Describe, rows built from the bytes of the wire, no promise between the call and the write. On Node.js 24 the code of this way is optimized after about 15,000 calls, on 20 after 6,000: before that it takes 1.6 times the CPU of the floor, as _cold_ shows. Not tried: an addon, a socket of our own below Node's streams.",
  'point-select-64':
    'Reads share one or two connections, and those of one turn of the event loop leave in one write. postgres.js and `pg` with `pipeline: true` pipeline, ' +
    'too, and can only be as far behind as their own work for each row. What V8 compiles beside the program while the code is not optimized counts as CPU.',
  'behind-server-0.5-128':
    'What the engine learns of a text is its time in the server: one that waits there does not share a connection and takes an idle one. With many callers, the proxy that makes the delay and the server need the processors as well.',
  'behind-server-5-128':
    "The same as `pg.Pool` at best: ten sessions that wait are ten sessions. Beyond that only what the waiting callers cost is left. Look at _the base once more_ first: the proxy's clock makes these figures spread.",
  'pgbouncer-select':
    'PgBouncer before 1.21 knows no named statements in transaction mode, so every client sends the text each time and the server parses it. Without the flag, the engine notices this at the first statement that is gone. With it, the way is a long one before V8 has optimized it.',
  'pgbouncer-transaction':
    'An unnamed statement is described each time, and BEGIN travels with the first one. The profile shows Node.js itself and this library where the select shows waiting. The code that reads its rows is made once for its columns.',
  'wide-rows':
    'A constructor that is compiled once for the columns builds rows from the bytes of the wire. The floor decodes the same columns by hand, and leaves JSON as text.',
  transaction:
    'The round trips are 3 to 4, which is 0.75: nothing else may cost anything. BEGIN travels with the first statement. The promises of the ' +
    'body and of the end of the transaction are what the floor has not. Look at the wall time of the floor: no client is below it.',
  'transaction-32':
    'With many callers the server is busy, so that what counts is CPU: the promises of the wait for a connection, and those of the transaction itself, which Node.js 20 and 22 make dearer by what an async context adds to each.',
  nested:
    'The round trips are 3 to 8, which is 0.375. Each of the three keeps the place where it began, which is a third of what it takes above the floor on Node.js 20 and a seventh on 24; one with a `label` keeps none. The rest is spread over a hundred functions of which none takes more than 3 %: a nested transaction has a frame, a lock and a savepoint of its own. A process in which few ran so far takes more: the code is optimized after about a thousand.',
  'nested-latency': 'The arithmetic of the round trips says 0.375; the machine itself adds the rest.',
  promises:
    'Counted with those of the function that calls, which awaits each statement. Each lever of the notes on transactions took some: COMMIT as one task, the loan of an idle connection without a promise, hooks in one context, a transaction that the driver tells of an answer before it settles the promise of the caller.',
  'round-trips':
    'SCRAM takes two of those of a first query. With everything set, a session applies its settings in one flight and looks its types up in another one. BEGIN never takes one of its own; COMMIT does.',
  executemany: 'Rows go as binary arrays, a page made while the one before it runs.',
  stream: 'Own portals in batches; the next batch is on its way while rows are read.',
  csv:
    'Texts and numbers are copied from the wire to the lines, and the other values are decoded and written; COPY is text from the server on. ' +
    'What is left is the scan for quotes, a message for each fetch, and the garbage collector. `copyTo()` is the same COPY, for who can write it.',
  'beside-buffered-rows':
    'An answer is read in slices of 64 KB behind the first 128 KB, between which the others get their turn, and a text with such answers shares no connection. What is left is the garbage collector, which copies the rows that are kept in steps of 5 to 20 ms, and the server, which shares the processors with the client: with the large read in a process of its own, the p99 of the others is 2.2 times as high, too. Tried: smaller slices from the first byte on, which cost answers of 1,000 rows a tenth; slices by what others have to do, no difference.',
  'beside-stream': 'A stream is decoded in batches, between which the others get their turn.',
  'beside-executemany':
    'The values of a list are read in one turn of the event loop, 3 ms for 50,000 rows of 4; all else is made page by page. What is left is the server: with the list in a process of its own, the p99 of the others is 1.3 to 2.1 times as high, too.',
  overload:
    'With `poolQueueTarget` the line is cut where answers would come too late. A line that is only cut at its end, as by `connectionTimeoutMillis`, does as much work for nobody.',
  'nest-handler':
    'A request that uses nothing of its scope pays for an object and a listener. The row `multiplex: false` says what sharing is worth here.',
  'nest-request-scope':
    'Nest makes every class that asks for `AsyncConnection`, and every class above it, anew for each request: the row with a provider of each request that does nothing shows ' +
    'that price. `@InjectScopedConnection()` gives a handle to a singleton and has only the rest. Where its statements commit themselves, its quick reads share sessions as those of ' +
    'the singleton do. As one transaction, the default, a request costs what `engine.transaction()` in the handler costs: one round trip more, and a session of its own.',
  'nest-request-provider':
    'What the connection adds to what Nest does for any provider of each request. On Node.js 24 nothing is left of the difference after 25,000 requests.',
  'nest-idle-route':
    'A route that never reaches an engine pays for an async context, which is nearly all of the difference on Node.js 20 and 24, and for two small objects: an interceptor is around it only where the application has others, or answers events. Two processes of the same application differ by up to a third, by what V8 made of them; look at _the base once more_.',
  'empty-transactional':
    'A `@Transactional` method has its name as a label. `engine.transaction()` without a label captures the stack, because an error must be able to say where the transaction began.',
  waiters:
    'A waiter is its own place in a line that is joined and left in constant time, and one timer ends all waits of a line.',
  memory:
    'The sessions of an engine share what is the same for all: the layouts of rows, what the server reports of its parameters, memory to write into; what only the login needed is taken off. A transaction that waits has the place where it began, which is a tenth of it, and three promises, which are a quarter. A stream reads ahead when as few rows are left of its first 1,000 as come next.',
  'cold-start':
    'One file for each door; drivers and extras that nobody asks for are loaded on demand, and so are `node:tls`, `node:net`, `node:fs/promises` and most of `node:util`. On Node.js 24 `pg` takes half of what it takes on 20, because that loads `fetch` and TLS with it. ' +
    'The rest is a third for reading our code, 640 kB, of which the engine exports every class; without white space and local names an import would take 0.07 to 0.12 × `pg` less. `module.enableCompileCache()` is the application’s.',
  'cold-start-nest': 'The package door on top of what Nest itself loads; `rxjs` is there already.',
  'long-run':
    'Heap, handles and sessions are looked at after the first part and at the end, while no request is under way.',
};
