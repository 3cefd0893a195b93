// A PostgreSQL for the programs of this project; it lives as long as its standard input.
import { startEmbeddedPostgres } from 'nest-async-engine/testing';

const server = await startEmbeddedPostgres();
console.log(server.url);
for await (const _ of process.stdin);
await server.stop();
