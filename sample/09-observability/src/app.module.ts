import { Module } from '@nestjs/common';
import { DatabaseModule } from 'nest-async-engine';
import { CoffeeModule } from './coffee.module.js';

// DATABASE_URL, where it is set, wins over the embedded server.
@Module({ imports: [DatabaseModule.forRoot({ embedded: true }), CoffeeModule] })
export class AppModule {}
