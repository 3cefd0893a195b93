import { expect, it } from 'vitest';
import { createAsyncEngine, text } from 'nest-async-engine/engine';
import { createDatabase } from '../../support/server/postgres.js';

const FORGED = 'x\n[AsyncEngine] COMMIT\u001b[2J\u2028';

it('lets no value, label, token or SQL pass for a line of the log', async () => {
  const database = await createDatabase('log_lines');
  const lines: string[] = [];
  const log = (line: string): void => void lines.push(line);
  const logger = { log, warn: log, error: log };
  const engine = createAsyncEngine(database.url, { echo: 'debug', logger, slowStatementThreshold: 0 });
  try {
    await engine.execute(text(`SELECT :v::text /* ${FORGED} */`), { v: FORGED }, { loggingToken: FORGED });
    await engine.transaction(() => engine.execute(text('SELECT 1')), { label: FORGED });
  } finally {
    await engine.aclose();
    await database.drop();
  }
  expect(lines.length).toBeGreaterThan(4);
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  expect(lines.filter((line) => /\n\[|[\u0000-\u0008\u000b-\u001f\u2028]/.test(line))).toEqual([]);
});
