import { createAsyncEngine, EngineError, text } from 'nest-async-engine/engine';
import { expect, it } from 'vitest';
import { randomOf, type Random } from '../../../support/random.js';
import { startScriptedServer } from '../../../support/server/scripted-server.js';
import { serverMessages as says } from '../../../support/server/server-messages.js';

const ROUNDS = Number(process.env['FUZZ_SIZE'] ?? 600) / 10;
const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 100_000);
const CALLERS = 4;

/** One answer in which a byte of a message's form was changed, or a message was cut or lengthened. */
function broken(answer: Buffer, random: Random): Buffer {
  const starts: number[] = [];
  for (let at = 0; at < answer.length; at += 1 + answer.readUInt32BE(at + 1)) starts.push(at);
  const at = starts[random(starts.length)] ?? 0;
  const end = at + 1 + answer.readUInt32BE(at + 1);
  const [front, body, rest] = [
    answer.subarray(0, at),
    Buffer.from(answer.subarray(at, end)),
    answer.subarray(end),
  ];
  switch (random(4)) {
    case 0:
      body.writeUInt32BE([0, 3, 5, body.length + 20, 0x7fff_ffff, 0xffff_ffff][random(6)] ?? 0, 1);
      return Buffer.concat([front, body, rest]);
    case 1: {
      const cut = body.subarray(0, 5 + random(Math.max(1, body.length - 5)));
      if (cut.length === body.length) return Buffer.concat([front, body, says.message('Q'), rest]);
      cut.writeUInt32BE(cut.length - 1, 1);
      return Buffer.concat([front, cut, rest]);
    }
    case 2: {
      const longer = Buffer.concat([body, Buffer.from('more')]);
      longer.writeUInt32BE(longer.length - 1, 1);
      return Buffer.concat([front, longer, rest]);
    }
    default:
      body[0] = [0x51, 0x00, 0x7f, 0x58, 0x76][random(5)] ?? 0;
      return Buffer.concat([front, body, rest]);
  }
}

it(
  `answers in broken messages by errors, to each caller by none but its own rows (FUZZ_SEED=${SEED})`,
  async () => {
    const random = randomOf(SEED);
    const uncaught: unknown[] = [];
    const notice = (error: unknown): unknown => uncaught.push(error);
    process.on('uncaughtException', notice);
    let isBroken = false;
    await using server = await startScriptedServer({
      onData: (socket, bytes) => {
        const [asked = 'none'] = /own-\d+/.exec(bytes.toString('latin1')) ?? [];
        const answer = says.oneRow(asked);
        socket.write(isBroken ? broken(answer, random) : answer);
      },
    });
    const engine = createAsyncEngine(server.url, {
      poolSize: CALLERS,
      multiplex: false,
      preparedStatementCacheSize: 0,
      // A message that says it is longer is waited for. The event loop of a busy machine may stand still for a while.
      socketTimeout: 300,
      logger: { log() {}, warn() {}, error() {}, debug() {} },
    });
    for (let round = 0; round < ROUNDS; round += 1) {
      isBroken = true;
      const answers = Array.from({ length: CALLERS }, (_, caller) => `own-${round * CALLERS + caller}`).map(
        (own) =>
          engine.scalar(text(`SELECT '${own}'`)).then(
            (value) => value === own,
            (error: unknown) => error instanceof EngineError,
          ),
      );
      expect(await Promise.all(answers)).toEqual(answers.map(() => true));
      isBroken = false;
      expect(await engine.scalar(text("SELECT 'own-0'"))).toBe('own-0');
    }
    process.off('uncaughtException', notice);
    expect(uncaught).toEqual([]);
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
  },
  60_000 + ROUNDS * 500,
);
