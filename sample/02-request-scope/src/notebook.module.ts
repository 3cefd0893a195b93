import { type DynamicModule, Module } from '@nestjs/common';
import { DatabaseModule, type DatabaseModuleOptions } from 'nest-async-engine';
import { Journal } from './journal.js';
import { NotesController } from './notes.controller.js';
import { Notes } from './notes.js';
import { Schema } from './schema.js';
import { tenantOf } from './tenant.js';

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
      ],
      controllers: [NotesController],
      providers: [Schema, Notes, Journal],
    };
  }
}
