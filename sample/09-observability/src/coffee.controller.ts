import { Controller, Get, Header, HttpException, Param, Post, Req, Res } from '@nestjs/common';
import { CoffeeService, SoldOutError } from './coffee.service.js';
import { prometheus, spans } from './telemetry.js';

type Request = Parameters<typeof prometheus.getMetricsRequestHandler>[0];
type Response = Parameters<typeof prometheus.getMetricsRequestHandler>[1];

@Controller()
export class CoffeeController {
  constructor(private readonly coffee: CoffeeService) {}

  @Get()
  @Header('content-type', 'text/plain; charset=utf-8')
  help(): string {
    return [
      'A coffee bar whose database can be seen:',
      '  POST /orders/mocha/ada   one cup: a transaction with a savepoint',
      '  POST /orders/java/bob    four times: the fourth is sold out, and undone',
      '  GET  /spans              the spans of what you did',
      '  GET  /metrics            what Prometheus reads',
      '',
    ].join('\n');
  }

  @Post('orders/:kind/:guest')
  async order(@Param('kind') kind: string, @Param('guest') guest: string): Promise<{ readonly id: number }> {
    try {
      return await this.coffee.order(kind, guest);
    } catch (error) {
      if (error instanceof SoldOutError) throw new HttpException(error.message, 409);
      throw error;
    }
  }

  @Get('spans')
  last(): readonly object[] {
    return spans.getFinishedSpans().map(({ name, attributes, duration: [seconds, nanoseconds] }) => ({
      name,
      milliseconds: seconds * 1_000 + nanoseconds / 1e6,
      attributes,
    }));
  }

  @Get('metrics')
  metrics(@Req() request: Request, @Res() response: Response): void {
    prometheus.getMetricsRequestHandler(request, response);
  }
}
