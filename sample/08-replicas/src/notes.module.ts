import { type DynamicModule, Module } from '@nestjs/common';
import { cookieConsistency, DatabaseModule } from 'nest-async-engine';
import { DatabaseDevtoolsModule } from 'nest-async-engine/devtools';
import { NotesController } from './notes.controller.js';
import { NotesService } from './notes.service.js';
import { type Servers, Standby } from './standby.js';

// The page shows SQL: for development alone.
const devtools = process.env['NODE_ENV'] === 'production' ? [] : [DatabaseDevtoolsModule.forRoot()];

@Module({})
export class NotesModule {
  static forRoot({ url, replicas }: Servers): DynamicModule {
    return {
      module: NotesModule,
      imports: [
        DatabaseModule.forRoot({
          url,
          replicas: { url: replicas.map((replica) => replica.url) },
          requestScope: { consistency: cookieConsistency({ name: 'seen' }) },
        }),
        ...devtools,
      ],
      controllers: [NotesController],
      providers: [NotesService, { provide: Standby, useValue: new Standby(replicas) }],
    };
  }
}
