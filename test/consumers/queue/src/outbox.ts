import { InjectQueue } from '@nestjs/bullmq';
import { Injectable, Logger } from '@nestjs/common';
import { Interval } from '@nestjs/schedule';
import type { Queue } from 'bullmq';
import { AsyncEngine, Transactional, sql } from 'nest-async-engine';

const AT_ONCE = 100;

interface Message {
  readonly id: number;
  readonly name: string;
  readonly data: object;
}

/** Holds jobs as rows of the transaction that adds them, until they are in Redis. */
@Injectable()
export class Outbox {
  readonly #logger = new Logger(Outbox.name);
  #isWanted = false;
  #sending: Promise<void> | undefined;

  constructor(
    private readonly engine: AsyncEngine,
    @InjectQueue('mail') private readonly queue: Queue,
  ) {}

  async add(name: string, data: object): Promise<void> {
    await this.engine.execute(sql`INSERT INTO outbox (name, data) VALUES (${name}, ${data}::jsonb)`);
    // Not awaited: the caller does not wait for Redis.
    this.engine.afterCommit(() => this.engine.runDetached(() => void this.send()));
  }

  /** Sends all that is committed. By the clock too: a process may have died, and Redis may have been away. */
  @Interval(1_000)
  send(): Promise<void> {
    this.#isWanted = true;
    return (this.#sending ??= this.#sendAll());
  }

  async #sendAll(): Promise<void> {
    try {
      while (this.#isWanted) {
        this.#isWanted = false;
        if ((await this.sendSome()) === AT_ONCE) this.#isWanted = true;
      }
    } catch (error) {
      this.#logger.warn(`jobs wait in the outbox: ${String(error)}`);
    } finally {
      this.#sending = undefined;
    }
  }

  /** A row goes when its job is in Redis. A process that dies in between sends it again, as the same job. */
  @Transactional({ timeout: 5_000 })
  async sendSome(): Promise<number> {
    const messages = await this.engine
      .execute<Message>(
        sql`DELETE FROM outbox WHERE id IN (SELECT id FROM outbox ORDER BY id LIMIT ${AT_ONCE} FOR UPDATE SKIP LOCKED)
            RETURNING id, name, data`,
      )
      .all();
    const jobs = messages
      .toSorted((one, other) => one.id - other.id)
      .map(({ id, name, data }) => ({ name, data, opts: { jobId: `outbox-${id}` } }));
    if (jobs.length > 0) await this.queue.addBulk(jobs);
    return jobs.length;
  }
}
