import { BadRequestException, type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';

const HEADER = 'x-tenant';

/** Who asks. A real application would take this from a token that it has checked. */
export function tenantOf(request: unknown): string {
  const { headers } = request as IncomingMessage;
  return String(headers[HEADER] ?? '');
}

/** A request that it denies has taken no connection: nothing was asked of the database yet. */
@Injectable()
export class TenantGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    if (tenantOf(context.switchToHttp().getRequest()) !== '') return true;
    throw new BadRequestException(`Say who you are: -H '${HEADER}: ann'.`);
  }
}
