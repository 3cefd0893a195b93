import { Controller, Get, Inject, Module, type DynamicModule } from '@nestjs/common';
import { DatabaseModule } from 'nest-async-engine';

/** What every handler waits for. */
export class Gate {
  readonly #opening: Promise<void>;
  #open: () => void = () => undefined;
  #waiting = 0;

  constructor() {
    this.#opening = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  get waiting(): number {
    return this.#waiting;
  }

  open(): void {
    this.#open();
  }

  async pass(): Promise<void> {
    this.#waiting += 1;
    await this.#opening;
  }
}

@Controller('ping')
class PingController {
  constructor(@Inject(Gate) private readonly gate: Gate) {}

  @Get()
  async ping(): Promise<string> {
    await this.gate.pass();
    return 'pong';
  }
}

/** A handler that waits and never touches the database, in an application with or without one. */
@Module({ controllers: [PingController] })
export class GatedModule {
  static of(gate: Gate, url: string | undefined): DynamicModule {
    return {
      module: GatedModule,
      imports: url === undefined ? [] : [DatabaseModule.forRoot({ url })],
      providers: [{ provide: Gate, useValue: gate }],
    };
  }
}
