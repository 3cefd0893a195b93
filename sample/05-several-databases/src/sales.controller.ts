import { Body, Controller, Get, Post, UseFilters } from '@nestjs/common';
import { DatabaseExceptionFilter } from 'nest-async-engine';
import { Outbox } from './outbox.js';
import { type ProductReport, Reports } from './reports.js';
import { Sales } from './sales.js';

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
