import { type DynamicModule, Module } from '@nestjs/common';
import { DatabaseModule, type DatabaseModuleOptions } from 'nest-async-engine';
import { DatabaseDevtoolsModule } from 'nest-async-engine/devtools';
import { AddressBookController } from './address-book.controller.js';
import { Contacts } from './contacts.js';
import { ImportLog } from './import-log.js';
import { Imports } from './imports.js';
import { Schema } from './schema.js';

// The page shows SQL: for development alone.
const devtools = process.env['NODE_ENV'] === 'production' ? [] : [DatabaseDevtoolsModule.forRoot()];

@Module({})
export class AddressBookModule {
  static forRoot(database: DatabaseModuleOptions): DynamicModule {
    return {
      module: AddressBookModule,
      imports: [DatabaseModule.forRoot(database), ...devtools],
      controllers: [AddressBookController],
      providers: [Schema, Contacts, ImportLog, Imports],
    };
  }
}
