import { readFile } from 'node:fs/promises';
import { Controller, Get, Header } from '@nestjs/common';
import { AsyncEngine } from 'nest-async-engine';

const PAGE = new URL('../public/index.html', import.meta.url);

interface Health {
  /** In MiB. */
  readonly memory: number;
  readonly connectionsInUse: number;
}

@Controller()
export class StationController {
  constructor(private readonly engine: AsyncEngine) {}

  @Get()
  @Header('content-type', 'text/html; charset=utf-8')
  page(): Promise<string> {
    return readFile(PAGE, 'utf8');
  }

  /** What a stream costs while it runs. */
  @Get('health')
  health(): Health {
    return {
      memory: Math.round(process.memoryUsage().rss / 2 ** 20),
      connectionsInUse: this.engine.pool.checkedOut(),
    };
  }
}
