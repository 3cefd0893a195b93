import { Module } from '@nestjs/common';
import { LibraryController } from './library.controller.js';
import { Loans } from './loans.js';
import { Post } from './post.js';
import { Shelf } from './shelf.js';

/** Says nothing about the database, so that a test can put its own beside it. */
@Module({ controllers: [LibraryController], providers: [Loans, Shelf, Post] })
export class LibraryModule {}
