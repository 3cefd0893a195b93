import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { context, trace } from '@opentelemetry/api';
import { DatabaseTestingModule } from 'nest-async-engine/testing';
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest';
import { CoffeeModule } from '../src/coffee.module.js';
import { startTelemetry } from '../src/telemetry.js';

interface Span {
  readonly name: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

describe('the coffee bar', () => {
  let app: INestApplication;
  let url: string;

  beforeAll(async () => {
    vi.stubEnv('TEST_DATABASE_URL', inject('databaseUrl'));
    startTelemetry();
    const testing = await Test.createTestingModule({
      imports: [DatabaseTestingModule.forRoot(), CoffeeModule],
    }).compile();
    app = testing.createNestApplication({ logger: false });
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });
  afterAll(async () => {
    await app.close();
    trace.disable();
    context.disable();
    vi.unstubAllEnvs();
  });

  const order = (kind: string) => fetch(`${url}/orders/${kind}/ada`, { method: 'POST' });
  const spans = async () => (await (await fetch(`${url}/spans`)).json()) as Span[];
  const outcomes = async (): Promise<unknown[]> =>
    (await spans())
      .filter(({ name }) => name === 'transaction order')
      .map(({ attributes }) => attributes['nest_async_engine.transaction.outcome']);

  it('shows each transaction with its statements, and which was undone', async () => {
    for (const status of [201, 201, 201, 409]) expect((await order('java')).status).toBe(status);
    expect(await outcomes()).toEqual(['committed', 'committed', 'committed', 'rolled-back']);
    const names = (await spans()).map(({ name }) => name);
    expect(names.filter((name) => name === 'savepoint note')).toHaveLength(3);
    expect(names.filter((name) => name === 'UPDATE beans')).toHaveLength(4);
  });

  it('has metrics that Prometheus reads', async () => {
    const page = await (await fetch(`${url}/metrics`)).text();
    expect(page).toMatch(/^nest_async_engine_transactions_total\{.*outcome="rolled-back".*\} 1$/m);
    expect(page).toMatch(
      /^db_client_operation_duration(?:_seconds)?_count\{.*db_query_summary="UPDATE beans".*\} 4$/m,
    );
    expect(page).toMatch(/^db_client_connection_count\{.*db_client_connection_state="idle".*\} \d+$/m);
  });

  it('says what it can do', async () => {
    expect(await (await fetch(url)).text()).toContain('/metrics');
  });
});
