import type { ServerResponse } from 'node:http';
import {
  Body,
  Controller,
  Get,
  HttpException,
  type MessageEvent,
  Post,
  Res,
  Sse,
  type StreamableFile,
} from '@nestjs/common';
import { AsyncEngine } from 'nest-async-engine';
import { map, type Observable } from 'rxjs';
import { type NewOrder, NewOrderPipe } from './new-order.pipe.js';
import { OrderFeed, type PlacedOrder } from './order-feed.js';
import { OrdersService } from './orders.service.js';
import { type Step, Story } from './story.js';

@Controller()
export class OrdersController {
  constructor(
    private readonly engine: AsyncEngine,
    private readonly orders: OrdersService,
    private readonly feed: OrderFeed,
  ) {}

  /** The answer tells the story either way: which steps were kept, and which were undone. */
  @Post('orders')
  async place(
    @Body(NewOrderPipe) order: NewOrder,
  ): Promise<{ readonly order: PlacedOrder; readonly story: readonly Step[] }> {
    const story = new Story(this.engine);
    try {
      return { order: await this.orders.place(order, story), story: story.steps };
    } catch (error) {
      if (!(error instanceof HttpException)) throw error;
      throw new HttpException({ message: error.message, story: story.steps }, error.getStatus());
    }
  }

  @Get('orders')
  latest(): Promise<PlacedOrder[]> {
    return this.feed.latest();
  }

  @Get('orders.csv')
  download(): StreamableFile {
    return this.feed.download();
  }

  /** Express gives the response of Node itself, Fastify wraps it. */
  @Sse('orders/events')
  events(
    @Res({ passthrough: true }) response: ServerResponse & { readonly raw?: ServerResponse },
  ): Observable<MessageEvent> {
    return this.feed
      .events(response.raw ?? response)
      .pipe(map((order) => ({ type: 'order', id: String(order.id), data: order })));
  }
}
