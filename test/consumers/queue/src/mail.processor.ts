import { Processor, WorkerHost } from '@nestjs/bullmq';
import type { Job } from 'bullmq';
import { AsyncEngine, Transactional, sql } from 'nest-async-engine';

/** One job is one transaction: what a failed attempt has written is undone before BullMQ tries again. */
@Processor('mail', { concurrency: 10 })
export class MailProcessor extends WorkerHost {
  constructor(private readonly engine: AsyncEngine) {
    super();
  }

  @Transactional()
  async process({ id, data, attemptsMade }: Job<{ order: number; customer: string }>): Promise<void> {
    // The mark is stored with the work, or neither is: a job that comes twice works once.
    const isNew = await this.engine.scalar(
      sql`INSERT INTO done (job) VALUES (${id}) ON CONFLICT DO NOTHING RETURNING 1`,
    );
    if (isNew === undefined) return;
    await this.engine.execute(
      sql`INSERT INTO mail (to_customer, about, transaction) VALUES (${data.customer}, ${data.order}, pg_current_xact_id()::text)`,
    );
    if (data.customer === 'moody' && attemptsMade === 0) throw new RangeError('not the first time');
  }
}
