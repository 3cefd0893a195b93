import { HttpException, type ArgumentsHost } from '@nestjs/common';
import { throwError, type Observable } from 'rxjs';
import type { ErrorAnswer } from '../shared/error-answer.js';

/** A socket of socket.io, or of ws. */
interface SocketClient {
  readonly readyState?: unknown;
  send?(message: string): unknown;
  emit?(event: string, payload: object): unknown;
}

/**
 * Answers outside of HTTP, where each transport has its own way: a message by an Observable that fails, a
 * socket by the event `exception`, anything else (GraphQL) by an exception. None of them carries the error
 * itself, which transports would serialize as a whole.
 */
export function answerOutsideHttp(answer: ErrorAnswer, host: ArgumentsHost): Observable<never> | undefined {
  const payload = { status: 'error', ...answer };
  switch (host.getType<string>()) {
    case 'rpc':
      return throwError(() => payload);
    case 'ws':
      emitException(host.switchToWs().getClient<SocketClient>(), payload);
      return undefined;
    default:
      throw new HttpException(answer, answer.statusCode);
  }
}

// As Nest's own filter tells them apart: a socket of ws is an emitter too, of events in this process.
function emitException(client: SocketClient, payload: object): void {
  if (typeof client.readyState === 'number')
    client.send?.(JSON.stringify({ event: 'exception', data: payload }));
  else client.emit?.('exception', payload);
}
