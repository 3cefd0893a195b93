import {
  BadRequestException,
  Body,
  Controller,
  Get,
  Header,
  Inject,
  Post,
  Sse,
  UseGuards,
} from '@nestjs/common';
import type { MessageEvent, Type } from '@nestjs/common';
import { map, startWith, type Observable } from 'rxjs';
import { Devtools } from './devtools.js';
import { DevtoolsAccess } from './devtools.guard.js';
import { PAGE, PAGE_POLICY } from './page/markup.js';
import { reasonOf } from '../../engine/errors/thrown.js';

interface ExplainRequest {
  readonly statement?: unknown;
  readonly analyze?: unknown;
}

/** The routes of the page, below `path`. */
export function devtoolsController(path: string): Type<unknown> {
  @Controller(path)
  @UseGuards(DevtoolsAccess)
  class DevtoolsController {
    constructor(@Inject(Devtools) private readonly devtools: Devtools) {}

    @Get()
    @Header('content-type', 'text/html; charset=utf-8')
    @Header('content-security-policy', PAGE_POLICY)
    @Header('cache-control', 'no-store')
    page(): string {
      return PAGE;
    }

    /** `start`: what the page has may be that of another process. */
    @Sse('events')
    events(): Observable<MessageEvent> {
      return this.devtools.updates().pipe(
        map((update): MessageEvent => ({ data: update })),
        startWith({ type: 'start', data: this.devtools.limits }),
      );
    }

    /** A page of another origin can't send JSON without being asked first, which nothing here allows. */
    @Post('explain')
    async explain(@Body() body: ExplainRequest | undefined): Promise<{ readonly plan: string }> {
      try {
        return { plan: await this.devtools.explain(body?.statement, body?.analyze === true) };
      } catch (error) {
        throw new BadRequestException({ message: reasonOf(error) });
      }
    }
  }
  return DevtoolsController;
}
