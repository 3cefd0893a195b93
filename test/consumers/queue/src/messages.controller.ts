import { EventEmitter, once } from 'node:events';
import { Controller } from '@nestjs/common';
import { EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import { AsyncConnection, InjectScopedConnection, sql } from 'nest-async-engine';

/** Tells `entered` where a handler waits, which goes on with `mayGoOn`. */
export const stage = new EventEmitter();

/** Orders that come over Redis: each message is one unit of work. */
@Controller()
export class MessagesController {
  constructor(@InjectScopedConnection() private readonly connection: AsyncConnection) {}

  @MessagePattern('place')
  async place(@Payload() customer: string): Promise<string> {
    await this.#insert(customer);
    await this.#insert(customer);
    if (customer === 'refused') throw new RangeError('mine');
    return await this.connection.scalars<string>(sql`SELECT pg_current_xact_id()::text`).one();
  }

  @MessagePattern('wait')
  async wait(@Payload() customer: string): Promise<void> {
    await this.#insert(customer);
    const mayGoOn = once(stage, 'mayGoOn');
    stage.emit('entered');
    await mayGoOn;
    await this.#insert(customer);
  }

  @EventPattern('placed')
  async placed(@Payload() customer: string): Promise<void> {
    await this.#insert(customer);
    if (customer === 'refused event') throw new RangeError('mine');
  }

  async #insert(customer: string): Promise<void> {
    await this.connection.execute(sql`INSERT INTO orders (customer) VALUES (${customer})`);
  }
}
