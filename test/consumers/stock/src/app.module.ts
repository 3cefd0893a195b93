import { Controller, Get, Module, Param } from '@nestjs/common';
import { DatabaseModule } from 'nest-async-engine';
import { ProductsService } from './products.service';

@Controller('products')
export class ProductsController {
  constructor(private readonly products: ProductsService) {}

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
