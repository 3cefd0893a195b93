import type { ServerResponse } from 'node:http';
import { Injectable, type OnModuleDestroy, type StreamableFile } from '@nestjs/common';
import { AsyncEngine, sql, streamRows } from 'nest-async-engine';
import { fromQuery } from 'nest-async-engine/rx';
import { concat, defer, finalize, type Observable, ReplaySubject, Subject } from 'rxjs';

export interface PlacedOrder {
  readonly id: number;
  readonly owner: string;
  readonly items: string;
  /** In cents. */
  readonly total: number;
  readonly status: string;
  readonly placedAt: Date;
}

const ORDERS = sql<PlacedOrder>`
  SELECT id, owner, items, total, status, created_at AS "placedAt" FROM placed_orders`;

/** The orders, in the three shapes in which they are read: a list, a download and a live stream. */
@Injectable()
export class OrderFeed implements OnModuleDestroy {
  readonly #placed = new Subject<PlacedOrder>();

  constructor(private readonly engine: AsyncEngine) {}

  latest(): Promise<PlacedOrder[]> {
    return this.engine.execute<PlacedOrder>(sql`${ORDERS} ORDER BY id DESC LIMIT 50`).all();
  }

  one(id: number): Promise<PlacedOrder> {
    return this.engine.execute<PlacedOrder>(sql`${ORDERS} WHERE id = ${id}`).one();
  }

  /** A server-side cursor on one end, the socket on the other: memory stays flat however many orders there are. */
  download(): StreamableFile {
    return streamRows(this.engine.stream(sql`${ORDERS} ORDER BY id`), {
      format: 'csv',
      filename: 'orders.csv',
    });
  }

  publish(order: PlacedOrder): void {
    this.#placed.next(order);
  }

  /**
   * All stored orders, then those placed from now on. The cursor waits while `response` is full. It is closed, with its
   * transaction, after the last stored order, or as soon as the reader hangs up.
   */
  events(response: ServerResponse): Observable<PlacedOrder> {
    return defer(() => {
      // Listens before it reads: an order placed meanwhile may be sent twice, but none is lost.
      const live = new ReplaySubject<PlacedOrder>(1_000);
      const listening = this.#placed.subscribe(live);
      const stored = fromQuery<PlacedOrder>(this.engine, sql`${ORDERS} ORDER BY id`, undefined, {
        batchSize: 200,
        pace: response,
      });
      return concat(stored, live).pipe(finalize(() => listening.unsubscribe()));
    });
  }

  /** Ends the live streams, so that a shutdown need not wait for their readers. */
  onModuleDestroy(): void {
    this.#placed.complete();
  }
}
