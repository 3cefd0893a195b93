import {
  BadRequestException,
  Body,
  Controller,
  DefaultValuePipe,
  Get,
  type MessageEvent,
  Param,
  ParseIntPipe,
  Post,
  Query,
  Res,
  Sse,
  type StreamableFile,
} from '@nestjs/common';
import { streamRows, type StreamRowsOptions } from 'nest-async-engine';
import type { ServerResponse } from 'node:http';
import { map, type Observable } from 'rxjs';
import { type Measurement, Measurements } from './measurements.js';

const FORMATS: readonly StreamRowsOptions['format'][] = ['csv', 'ndjson', 'json'];

interface NewMeasurement {
  readonly sensor?: unknown;
  readonly value?: unknown;
}

@Controller()
export class MeasurementsController {
  constructor(private readonly measurements: Measurements) {}

  @Post('measurements')
  add(@Body() { sensor, value }: NewMeasurement): Promise<Measurement> {
    if (typeof sensor !== 'string' || typeof value !== 'number')
      throw new BadRequestException('A measurement has a sensor and a value.');
    return this.measurements.add(sensor, value);
  }

  /** Reads as fast as the client takes it; a client that hangs up closes the cursor. */
  @Get('measurements.:format')
  download(
    @Param('format') wanted: string,
    @Query('rows', new DefaultValuePipe(1_000), ParseIntPipe) rows: number,
  ): StreamableFile {
    const format = FORMATS.find((one) => one === wanted);
    if (format === undefined) throw new BadRequestException(`There is ${FORMATS.join(', ')}.`);
    return streamRows(this.measurements.rows(rows), { format, filename: `measurements.${format}` });
  }

  @Sse('measurements/live')
  live(): Observable<MessageEvent> {
    return this.measurements.live().pipe(map((data) => ({ data })));
  }

  @Sse('measurements/stored')
  stored(
    @Res({ passthrough: true }) response: ServerResponse | { readonly raw: ServerResponse },
  ): Observable<MessageEvent> {
    const socket = 'raw' in response ? response.raw : response;
    return this.measurements.stored(socket).pipe(map((data) => ({ data })));
  }
}
