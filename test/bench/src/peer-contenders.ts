import { BenchmarkError } from './benchmark-error.js';
import { loadPeer, type Capability, type PartialPeer, type Peer, type PeerName } from './peers/index.js';
import type { Contender, Setting, Subject } from './workload.js';

/** Connections of every pool. */
export const CONNECTIONS = 10;

type Able<C extends Capability> = Pick<Peer, C | 'close'>;

/** Makes a contender of each peer; `subject` says what a round is, and checks a first result in full. */
export function peerContenders<C extends Capability>(
  names: readonly PeerName[],
  capabilities: readonly C[],
  subject: (peer: Able<C>, setting: Setting) => Promise<Omit<Subject, 'close'>>,
): Contender[] {
  return names.map((name) => ({
    name,
    async open(setting) {
      const open = await loadPeer(name);
      const peer = await open({ url: setting.url, connections: CONNECTIONS });
      if (!isAble(peer, capabilities)) {
        throw new BenchmarkError(
          `${name} lacks one of ${capabilities.join(', ')}. Add it to its file, or take it off the workload.`,
        );
      }
      return { ...(await subject(peer, setting)), close: () => peer.close() };
    },
  }));
}

function isAble<C extends Capability>(
  peer: PartialPeer,
  capabilities: readonly C[],
): peer is PartialPeer & Able<C> {
  return capabilities.every((capability) => peer[capability] !== undefined);
}
