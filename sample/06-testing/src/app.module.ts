import { Module, type OnModuleInit } from '@nestjs/common';
import { AsyncEngine, DatabaseModule } from 'nest-async-engine';
import { DatabaseDevtoolsModule } from 'nest-async-engine/devtools';
import { LibraryModule } from './library.module.js';
import { createTables } from './schema.js';

// The page shows SQL: for development alone.
const devtools = process.env['NODE_ENV'] === 'production' ? [] : [DatabaseDevtoolsModule.forRoot()];

// DATABASE_URL, where it is set, wins over the embedded server.
@Module({ imports: [DatabaseModule.forRoot({ embedded: true }), ...devtools, LibraryModule] })
export class AppModule implements OnModuleInit {
  constructor(private readonly engine: AsyncEngine) {}

  async onModuleInit(): Promise<void> {
    await createTables(this.engine);
  }
}
