import { BadGatewayException, ConflictException, Injectable, NotFoundException } from '@nestjs/common';
import { AsyncEngine, CheckViolationError, sql, Transactional } from 'nest-async-engine';
import type { NewOrder } from './new-order.pipe.js';
import { OrderFeed, type PlacedOrder } from './order-feed.js';
import type { Story } from './story.js';

type Line = NewOrder['lines'][number];

interface Offer {
  readonly supplierId: number;
  readonly supplier: string;
  readonly product: string;
}

class SupplierDownError extends Error {}

@Injectable()
export class OrdersService {
  constructor(
    private readonly engine: AsyncEngine,
    private readonly feed: OrderFeed,
  ) {}

  /** One transaction: whatever is thrown out of here undoes everything in it. */
  @Transactional()
  async place(order: NewOrder, story: Story): Promise<PlacedOrder> {
    const owner = await this.engine.scalar<string>(
      sql`SELECT owner FROM accounts WHERE id = ${order.accountId}`,
    );
    if (owner === undefined) throw new NotFoundException(`There is no account ${order.accountId}.`);
    const id = await this.engine
      .execute<{ id: number }>(sql`INSERT INTO orders (account_id) VALUES (${order.accountId}) RETURNING id`)
      .scalarOne();
    story.tell(`open order ${id} for ${owner}`);

    // In the order of the products, as everybody else: two orders never wait for each other in a circle.
    const lines = [...order.lines].sort((one, other) => one.productId - other.productId);
    for (const line of lines) await this.reserveSomewhere(id, line, order.supplierDown, story);
    await this.charge(id, order.accountId, owner, story);
    const placed = await this.feed.one(id);
    this.engine.afterCommit(() => this.feed.publish(placed));
    if (order.failAfterReserving)
      throw new BadGatewayException('Something broke after the goods were reserved and paid.');
    return placed;
  }

  /** Asks one supplier after the other. The order goes on after a failed one, because only its savepoint is undone. */
  private async reserveSomewhere(id: number, line: Line, firstIsDown: boolean, story: Story): Promise<void> {
    const offers = await this.engine
      .execute<Offer>(
        sql`SELECT s.id AS "supplierId", s.name AS supplier, p.name AS product
            FROM stock JOIN suppliers s ON s.id = supplier_id JOIN products p ON p.id = product_id
            WHERE product_id = ${line.productId} ORDER BY s.rank`,
      )
      .all();
    const [first] = offers;
    if (first === undefined) throw new NotFoundException(`There is no product ${line.productId}.`);
    for (const offer of offers) {
      try {
        return await this.reserve(id, line, offer, firstIsDown && offer === first, story);
      } catch (error) {
        story.because(reasonOf(error, offer));
      }
    }
    throw new ConflictException(`No supplier has ${line.quantity} × ${first.product}.`);
  }

  /** Called by `place`, this transaction is a savepoint inside that one: it is undone alone. */
  @Transactional()
  async reserve(id: number, line: Line, offer: Offer, isDown: boolean, story: Story): Promise<void> {
    story.tell(`reserve ${line.quantity} × ${offer.product} at ${offer.supplier}`);
    await this.engine.execute(
      sql`INSERT INTO order_lines (order_id, product_id, supplier_id, quantity)
          VALUES (${id}, ${line.productId}, ${offer.supplierId}, ${line.quantity})`,
    );
    await this.engine.execute(
      sql`UPDATE stock SET quantity = quantity - ${line.quantity}
          WHERE product_id = ${line.productId} AND supplier_id = ${offer.supplierId}`,
    );
    if (isDown) throw new SupplierDownError();
  }

  private async charge(id: number, accountId: number, owner: string, story: Story): Promise<void> {
    const total = await this.engine
      .execute<{ total: number }>(
        sql`UPDATE orders SET status = 'paid', total =
              (SELECT sum(quantity * price) FROM order_lines JOIN products p ON p.id = product_id WHERE order_id = ${id})
            WHERE id = ${id} RETURNING total`,
      )
      .scalarOne();
    story.tell(`charge ${(total / 100).toFixed(2)} € to ${owner}`);
    try {
      await this.engine.execute(
        sql`UPDATE accounts SET balance = balance - ${total} WHERE id = ${accountId}`,
      );
    } catch (error) {
      if (!(error instanceof CheckViolationError)) throw error;
      story.because('the account has not enough money');
      throw new ConflictException(`${owner} has not enough money for ${(total / 100).toFixed(2)} €.`);
    }
  }
}

/** In words, for what another supplier may put right; anything else is thrown on. */
function reasonOf(error: unknown, { supplier }: Offer): string {
  if (error instanceof SupplierDownError) return `${supplier} does not answer`;
  if (error instanceof CheckViolationError) return `${supplier} has not enough`;
  throw error;
}
