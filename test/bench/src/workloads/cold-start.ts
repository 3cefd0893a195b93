import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { quantile } from '../figures.js';
import { GOALS } from '../goals.js';
import type { Round } from '../protocol.js';
import type { Contender, Workload } from '../workload.js';

const run = promisify(execFile);
const program = fileURLToPath(new URL('../cold-start-process.js', import.meta.url));

/** A fresh process that imports the modules, again and again; a quarter of them were quicker than what counts. */
function importing(name: string, modules: readonly string[]): Contender {
  return {
    name,
    async open({ size: { operations } }) {
      const start = async (): Promise<Round> => {
        const { stdout } = await run(process.execPath, [...process.execArgv, program, ...modules]);
        return JSON.parse(stdout) as Round;
      };
      await start();
      return {
        async run() {
          const starts: Round[] = [];
          for (let left = operations; left > 0; left -= 1) starts.push(await start());
          const low = (of: (start: Round) => number): number => quantile(starts.map(of), 0.25);
          return {
            wall: low(({ wall }) => wall),
            cpu: low(({ cpu }) => cpu),
            peak: low(({ peak }) => peak),
            idle: low(({ idle }) => idle),
          };
        },
        close: async () => undefined,
      };
    },
  };
}

const NEST = ['reflect-metadata', '@nestjs/common', '@nestjs/core'];

export const coldStart: Workload = {
  name: 'cold-start',
  title: 'Cold start: import in a fresh process',
  contenders: [
    importing('pg', ['pg']),
    importing('nest-async-engine/engine', ['nest-async-engine/engine']),
    importing('postgres.js', ['postgres']),
    importing('Kysely', ['kysely', 'pg']),
    importing('Drizzle', ['drizzle-orm/node-postgres', 'pg']),
    importing('Knex', ['knex', 'pg']),
    importing('TypeORM', ['typeorm', 'pg']),
    importing('pg-promise', ['pg-promise']),
  ],
  base: 'pg',
  goals: GOALS['cold-start'],
  profile: false,
  full: { operations: 5 },
  smoke: { operations: 1 },
};

export const coldStartNest: Workload = {
  name: 'cold-start-nest',
  title: 'Cold start: import of a NestJS application with its database',
  contenders: [
    importing('NestJS alone', NEST),
    importing('nest-async-engine', [...NEST, 'nest-async-engine']),
    importing('pg', [...NEST, 'pg']),
    importing('TypeORM', [...NEST, 'typeorm', 'pg']),
  ],
  base: 'NestJS alone',
  goals: GOALS['cold-start-nest'],
  profile: false,
  full: { operations: 5 },
  smoke: { operations: 1 },
};
