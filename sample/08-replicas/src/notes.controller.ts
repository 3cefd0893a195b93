import { readFile } from 'node:fs/promises';
import { Controller, Get, Header, HttpCode, Post } from '@nestjs/common';
import { AsyncEngine } from 'nest-async-engine';
import type { ReplicaStatus } from 'nest-async-engine/engine';
import { type Notes, NotesService } from './notes.service.js';
import { Standby } from './standby.js';

const PAGE = new URL('../public/index.html', import.meta.url);

@Controller()
export class NotesController {
  constructor(
    private readonly engine: AsyncEngine,
    private readonly notes: NotesService,
    private readonly standby: Standby,
  ) {}

  @Get()
  @Header('content-type', 'text/html; charset=utf-8')
  page(): Promise<string> {
    return readFile(PAGE, 'utf8');
  }

  @Get('notes')
  read(): Promise<Notes> {
    return this.notes.read();
  }

  @Post('notes')
  write(): Promise<Notes> {
    return this.notes.write();
  }

  /** Both in one request: the read sees the write, whatever the standby has. */
  @Post('notes/read')
  async writeAndRead(): Promise<{ readonly written: Notes; readonly read: Notes }> {
    return { written: await this.notes.write(), read: await this.notes.read() };
  }

  @Get('replicas')
  replicas(): readonly ReplicaStatus[] {
    return this.engine.replicas.status();
  }

  @Post('standby/pause')
  @HttpCode(204)
  pause(): Promise<void> {
    return this.standby.pause();
  }

  @Post('standby/follow')
  @HttpCode(204)
  follow(): Promise<void> {
    return this.standby.follow();
  }

  @Post('standby/stop')
  @HttpCode(204)
  stop(): Promise<void> {
    return this.standby.stop();
  }
}
