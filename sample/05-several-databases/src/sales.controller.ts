import { readFile } from 'node:fs/promises';
import { Body, Controller, Get, Header, Post, UseFilters } from '@nestjs/common';
import { DatabaseExceptionFilter } from 'nest-async-engine';
import { Outbox } from './outbox.js';
import { type ProductReport, Reports } from './reports.js';
import { Sales } from './sales.js';

const PAGE = new URL('../public/index.html', import.meta.url);

interface NewSale {
  readonly product?: unknown;
  readonly amount?: unknown;
}

@Controller()
@UseFilters(DatabaseExceptionFilter)
export class SalesController {
  constructor(
    private readonly sales: Sales,
    private readonly reports: Reports,
    private readonly outbox: Outbox,
  ) {}

  @Get()
  @Header('content-type', 'text/html; charset=utf-8')
  page(): Promise<string> {
    return readFile(PAGE, 'utf8');
  }

  @Post('sales')
  async sell(@Body() { product, amount }: NewSale): Promise<{ readonly id: number }> {
    return { id: await this.sales.sell(String(product), Number(amount)) };
  }

  @Get('sales')
  async waiting(): Promise<{ readonly waiting: number }> {
    return { waiting: await this.outbox.waiting() };
  }

  @Get('reports')
  perProduct(): Promise<ProductReport[]> {
    return this.reports.perProduct();
  }
}
