import { Module, type OnModuleInit } from '@nestjs/common';
import { AsyncEngine, DatabaseModule } from 'nest-async-engine';
import { LibraryModule } from './library.module.js';
import { createTables } from './schema.js';

// DATABASE_URL, where it is set, wins over the embedded server.
@Module({ imports: [DatabaseModule.forRoot({ embedded: true }), LibraryModule] })
export class AppModule implements OnModuleInit {
  constructor(private readonly engine: AsyncEngine) {}

  async onModuleInit(): Promise<void> {
    await createTables(this.engine);
  }
}
