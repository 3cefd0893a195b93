import { type DynamicModule, Module } from '@nestjs/common';
import { DatabaseModule, type DatabaseModuleOptions } from 'nest-async-engine';
import { AddressBookController } from './address-book.controller.js';
import { Contacts } from './contacts.js';
import { ImportLog } from './import-log.js';
import { Imports } from './imports.js';
import { Schema } from './schema.js';

@Module({})
export class AddressBookModule {
  static forRoot(database: DatabaseModuleOptions): DynamicModule {
    return {
      module: AddressBookModule,
      imports: [DatabaseModule.forRoot(database)],
      controllers: [AddressBookController],
      providers: [Schema, Contacts, ImportLog, Imports],
    };
  }
}
