import { Controller, Get, Module, Param } from '@nestjs/common';
import { AsyncConnection, DatabaseModule, InjectScopedConnection, sql } from 'nest-async-engine';
import { ProductsService } from './products.service';

@Controller('products')
export class ProductsController {
  constructor(
    private readonly products: ProductsService,
    @InjectScopedConnection() private readonly connection: AsyncConnection,
  ) {}

  @Get('first')
  async first() {
    const name = await this.connection.scalar<string>(sql`SELECT name FROM products WHERE id = 1`);
    const inTransaction = this.connection.inTransaction();
    return { name, inTransaction };
  }

  @Get(':id')
  find(@Param('id') id: string) {
    return this.products.find(Number(id));
  }
}

@Module({
  imports: [DatabaseModule.forRoot({ embedded: true })],
  controllers: [ProductsController],
  providers: [ProductsService],
})
export class AppModule {}
