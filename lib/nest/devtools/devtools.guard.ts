import { ForbiddenException, Inject, Injectable } from '@nestjs/common';
import type { CanActivate, ExecutionContext, Type } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { isObservable, lastValueFrom } from 'rxjs';
import { DEVTOOLS_SETTINGS } from './devtools.js';
import type { DevtoolsGuard, DevtoolsSettings } from './devtools-options.js';
import type { NodeRequest } from '../request-scope/http-request-scope.js';

const LOCAL = /^(?:::ffff:)?127\.|^::1$/;

/** Asks the guard of the module's options, where there is one. */
@Injectable()
export class DevtoolsAccess implements CanActivate {
  constructor(
    @Inject(DEVTOOLS_SETTINGS) private readonly settings: DevtoolsSettings,
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const { guard, isLocalOnly } = this.settings;
    if (guard === undefined) {
      if (isLocalOnly) expectLocal(context);
      return true;
    }
    const answer = isClass(guard)
      ? (await this.moduleRef.create(guard)).canActivate(context)
      : guard(context);
    // Whatever is not true, such as an answer that never came, is no.
    const said: unknown = isObservable(answer)
      ? await lastValueFrom(answer, { defaultValue: false })
      : await answer;
    return said === true;
  }
}

/** A function may have a prototype as well, which can be replaced; that of a class can't. */
function isClass(guard: DevtoolsGuard): guard is Type<CanActivate> {
  const { value, writable } = Object.getOwnPropertyDescriptor(guard, 'prototype') ?? {};
  const { canActivate } = (value ?? {}) as { readonly canActivate?: unknown };
  return writable === false || typeof canActivate === 'function';
}

/** A server that has forgotten to set NODE_ENV may be that of production. */
function expectLocal(context: ExecutionContext): void {
  const request = context.switchToHttp().getRequest<NodeRequest>();
  const { socket, headers } = request;
  const isForwarded = 'x-forwarded-for' in headers || 'forwarded' in headers;
  if (!isForwarded && LOCAL.test(socket.remoteAddress ?? '')) return;
  throw new ForbiddenException(
    'NODE_ENV is not set, so that this page is for requests of the same machine alone. Set NODE_ENV=development, ' +
      'or say who may see it: DatabaseDevtoolsModule.forRoot({ guard }).',
  );
}
