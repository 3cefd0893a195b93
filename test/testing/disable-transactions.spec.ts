import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { lastValueFrom, of } from 'rxjs';
import type { Observable } from 'rxjs';
import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  AsyncEngine,
  IllegalStateError,
  InjectEngine,
  Transactional,
  getEngineToken,
  sql,
} from 'nest-async-engine';
import { disableTransactions } from 'nest-async-engine/testing';
import { failureOf } from '../support/items.js';

class Names {
  readonly stored: string[] = [];

  async store(name: string): Promise<void> {
    this.stored.push(name);
  }
}

@Injectable()
class Greeter {
  readonly mails: string[] = [];

  constructor(
    private readonly names: Names,
    @InjectEngine() private readonly engine: AsyncEngine,
  ) {}

  @Transactional()
  async greet(name: string): Promise<string> {
    this.engine.afterCommit(() => void this.mails.push(name));
    await this.names.store(name);
    if (name === 'nobody') throw new ArgumentError('nobody is there');
    return `Hello ${name}`;
  }

  @Transactional({ propagation: 'mandatory' })
  async inner(): Promise<string> {
    return 'inner';
  }

  @Transactional({ propagation: 'requires-new', engine: 'other' })
  async elsewhere(): Promise<string> {
    return 'elsewhere';
  }

  @Transactional()
  watch(): Observable<number> {
    return of(1);
  }

  @Transactional()
  async *numbers(): AsyncGenerator<number, void, undefined> {
    yield 1;
  }

  @Transactional()
  async read(): Promise<unknown> {
    return await this.engine.scalar(sql`SELECT 1`);
  }
}

async function inContainer(): Promise<Greeter> {
  const module = await Test.createTestingModule({
    providers: [Names, Greeter, { provide: getEngineToken(), useValue: disableTransactions() }],
  }).compile();
  return module.get(Greeter);
}

function byHand(): Greeter {
  const engine = disableTransactions();
  const greeter = new Greeter(new Names(), engine);
  disableTransactions(greeter);
  return greeter;
}

describe.each([
  ['in the place of the engine', inContainer],
  ['for an object made by hand', async () => byHand()],
])('disableTransactions %s', (_, make) => {
  it('makes @Transactional a call, of promises, Observables and generators', async () => {
    const greeter = await make();
    expect(await greeter.greet('Ada')).toBe('Hello Ada');
    expect(await lastValueFrom(greeter.watch())).toBe(1);
    for await (const number of greeter.numbers()) expect(number).toBe(1);
  });

  it('lets errors through', async () => {
    expect(await failureOf((await make()).greet('nobody'))).toBeInstanceOf(ArgumentError);
  });

  it('takes mandatory, too', async () => {
    expect(await (await make()).inner()).toBe('inner');
  });

  it('refuses a statement and says what to do', async () => {
    const failure = await failureOf((await make()).read());
    expect(failure).toBeInstanceOf(IllegalStateError);
    expect(String(failure)).toMatch(/Replace the repository by a double/);
  });
});

describe('disableTransactions', () => {
  it('runs hooks by how the work ends', async () => {
    const greeter = await inContainer();
    await greeter.greet('Ada');
    await failureOf(greeter.greet('nobody'));
    expect(greeter.mails).toEqual(['Ada']);
  });

  it('covers the methods of every database of an object', async () => {
    expect(await byHand().elsewhere()).toBe('elsewhere');
  });

  it('refuses an object without transactional methods', () => {
    expect(() => disableTransactions(new Names())).toThrow(/Names, which has no @Transactional/);
  });

  it('leaves other objects of the class alone', async () => {
    byHand();
    const other = new Greeter(new Names(), disableTransactions());
    await expect(other.greet('Ada')).rejects.toThrow(/no engine/);
  });
});
