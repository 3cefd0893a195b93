import { expect, it } from 'vitest';
import { RoundTripCounter } from './round-trip-counter.js';

/** `>Sync` is said by the client, `<ReadyForQuery` by the server. */
function count(dialogue: string): number {
  let roundTrips = 0;
  const counter = new RoundTripCounter(() => {
    roundTrips += 1;
  });
  for (const word of dialogue.split(' ')) {
    const [type = '', text = ''] = word.slice(1).split(':');
    counter.see({ from: word.startsWith('>') ? 'client' : 'server', type, text, connection: 1 });
  }
  return roundTrips;
}

it.each([
  ['a simple query', '>Query <CommandComplete <ReadyForQuery', 1],
  ['two that follow each other', '>Query <ReadyForQuery >Query <ReadyForQuery', 2],
  ['two that share a wait', '>Sync >Sync <ReadyForQuery <ReadyForQuery', 1],
  ['what is not answered', '>Parse >Bind >Execute >Sync', 0],
  ['a Flush once the client goes on', '>Execute >Flush <PortalSuspended >Execute >Sync <ReadyForQuery', 2],
  ['a Flush without an answer', '>Flush <NoticeResponse >Sync <ReadyForQuery', 1],
  ['a COPY from the client', '>Query <CopyInResponse >CopyData >CopyDone <CommandComplete <ReadyForQuery', 2],
  ['a login', '>Startup <Authentication:10 >Password <Authentication:12 <Authentication:0 <ReadyForQuery', 2],
  ['what the server says by itself', '<NotificationResponse <ReadyForQuery', 0],
])('counts %s', (_, dialogue, expected) => {
  expect(count(dialogue)).toBe(expected);
});
