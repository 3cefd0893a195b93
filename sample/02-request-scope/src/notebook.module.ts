import { type DynamicModule, Module } from '@nestjs/common';
import { DatabaseModule, type DatabaseModuleOptions } from 'nest-async-engine';
import { DatabaseDevtoolsModule } from 'nest-async-engine/devtools';
import { Journal } from './journal.js';
import { NotesController } from './notes.controller.js';
import { Notes } from './notes.js';
import { Schema } from './schema.js';
import { tenantOf } from './tenant.js';
import { WelcomeController } from './welcome.controller.js';

// The page shows SQL: for development alone.
const devtools = process.env['NODE_ENV'] === 'production' ? [] : [DatabaseDevtoolsModule.forRoot()];

@Module({})
export class NotebookModule {
  static forRoot(database: DatabaseModuleOptions): DynamicModule {
    return {
      module: NotebookModule,
      imports: [
        DatabaseModule.forRoot({
          ...database,
          requestScope: {
            // Sent together with BEGIN, and gone with the transaction: no other request can ever see it.
            connection: (request) => ({
              settings: { 'app.tenant': tenantOf(request), role: 'notebook_reader' },
            }),
          },
        }),
        ...devtools,
      ],
      controllers: [WelcomeController, NotesController],
      providers: [Schema, Notes, Journal],
    };
  }
}
