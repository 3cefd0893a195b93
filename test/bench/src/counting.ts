import type { Contender, Setting } from './workload.js';

export type Amounts = Readonly<Record<string, number>>;

/** What is counted in each round, and what is closed at the end. */
export interface Counter {
  count(): Promise<Amounts>;
  close(): Promise<void>;
}

/** A contender whose figures are amounts. */
export function counting(name: string, open: (setting: Setting) => Promise<Counter>): Contender {
  return {
    name,
    async open(setting) {
      const counter = await open(setting);
      return { run: async () => ({ amounts: await counter.count() }), close: () => counter.close() };
    },
  };
}
