import { Injectable, type OnModuleInit } from '@nestjs/common';
import { AsyncEngine, type AsyncResult, sql, Transactional } from 'nest-async-engine';
import { fromChannel, fromQuery } from 'nest-async-engine/rx';
import type { ServerResponse } from 'node:http';
import { map, type Observable } from 'rxjs';

export interface Measurement {
  readonly id: number;
  readonly sensor: string;
  readonly value: number;
}

const CHANNEL = 'measurements';

@Injectable()
export class Measurements implements OnModuleInit {
  constructor(private readonly engine: AsyncEngine) {}

  async onModuleInit(): Promise<void> {
    await this.engine.execute(
      sql`CREATE TABLE IF NOT EXISTS measurements (
            id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sensor text NOT NULL, value float8 NOT NULL)`,
    );
  }

  /** A notification is part of the transaction: nobody hears of a measurement that is rolled back. */
  @Transactional()
  async add(sensor: string, value: number): Promise<Measurement> {
    const measurement = await this.engine
      .execute<Measurement>(
        sql`INSERT INTO measurements (sensor, value) VALUES (${sensor}, ${value}) RETURNING id, sensor, value`,
      )
      .one();
    await this.engine.execute(sql`SELECT pg_notify(${CHANNEL}, ${JSON.stringify(measurement)})`);
    return measurement;
  }

  /** As many rows as are asked for, made by the server, over a cursor that is opened when the first one is read. */
  rows(count: number): AsyncResult<Measurement> {
    return this.engine.stream<Measurement>(
      sql`SELECT id, 'sensor ' || id % 7 AS sensor, sin(id) AS value FROM generate_series(1, ${count}::int) AS id`,
    );
  }

  /** What is measured from now on, by whatever instance of the station: LISTEN on a connection of its own. */
  live(): Observable<Measurement> {
    return fromChannel(this.engine, CHANNEL).pipe(
      map(({ payload }) => JSON.parse(payload ?? 'null') as Measurement),
    );
  }

  /** The stored ones at the pace of the response: the cursor waits while the socket is full. */
  stored(response: ServerResponse): Observable<Measurement> {
    return fromQuery<Measurement>(
      this.engine,
      sql<Measurement>`SELECT id, sensor, value FROM measurements ORDER BY id`,
      undefined,
      { batchSize: 500, pace: response },
    );
  }
}
