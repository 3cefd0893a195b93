import type { Driver, DriverConnection, ServerRole } from '../driver/driver.js';
import { ConnectionRecord } from './connection-record.js';
import { sessionDropped } from './pool-errors.js';
import type { Outside, PoolObserver } from './pool-observer.js';

/** What a pool has to open a connection with. */
interface Opening {
  readonly driver: Driver;
  readonly observer: PoolObserver;
  /**
   * That of the pool before the attempt: what connects while everything is being invalidated may have reached
   * the old server.
   */
  readonly generation: number;
  readonly outsideOfRequests: Outside;
  readonly role: ServerRole | undefined;
  /** `host:port`; undefined for a primary. */
  readonly replica: string | undefined;
}

/** Opens a connection; what a listener of `connect` throws fails the attempt. */
export async function openRecord(opening: Opening): Promise<ConnectionRecord> {
  const { driver, observer, generation, outsideOfRequests, role, replica } = opening;
  const place = { replica, role };
  const session = await observer.connecting(outsideOfRequests, (attempt) => driver.connect(attempt), place);
  expectOpen(session);
  const record = new ConnectionRecord(session, generation, observer);
  observer.listenTo(record);
  try {
    if (observer.isObserved) await outsideOfRequests(() => observer.opened(record));
    // A transaction that a listener, or the creator of the client, left open is not the borrower's.
    if (!record.isIdle) await record.reset('rollback');
    expectOpen(session);
    session.changes?.settle();
    return record;
  } catch (error) {
    record.terminate();
    throw error;
  }
}

function expectOpen(session: DriverConnection): void {
  // Opened again and again, it would be dropped again and again.
  if (!session.isOpen) throw sessionDropped();
}
