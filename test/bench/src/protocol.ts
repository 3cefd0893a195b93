import type { Profile } from './profile.js';
import type { Size } from './workload.js';

/** What the runner says to the process of a contender. */
export type Order =
  | {
      readonly kind: 'open';
      readonly workload: string;
      readonly contender: string;
      readonly url: string;
      readonly directUrl: string;
      readonly size: Size;
    }
  | { readonly kind: 'round' }
  /** One more round, which is not measured but looked into. */
  | { readonly kind: 'profile' }
  | { readonly kind: 'close' };

export type OpenOrder = Extract<Order, { readonly kind: 'open' }>;

/** What one round took, of the contender's process alone. Never printed: only ratios of it are. */
export interface Round {
  /** Nanoseconds. */
  readonly wall: number;
  /** Nanoseconds of user and system time. */
  readonly cpu: number;
  /** Bytes, the most since the process began. */
  readonly peak: number;
  /** Bytes, when it was open and had done nothing. */
  readonly idle: number;
  /** What the contender counted, by what it is. */
  readonly amounts?: Readonly<Record<string, number>> | undefined;
}

/** What the process answers to every order but `close`. */
export type Answer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly round: Round }
  | { readonly kind: 'profiled'; readonly profile: Profile }
  /** It cannot take part on this machine. */
  | { readonly kind: 'absent'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string };
