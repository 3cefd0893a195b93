import { Inject, Injectable } from '@nestjs/common';
import type { CanActivate, ExecutionContext, Type } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { DEVTOOLS_SETTINGS } from './devtools.js';
import type { DevtoolsGuard, DevtoolsSettings } from './devtools-options.js';

/** Asks the guard of the module's options, where there is one. */
@Injectable()
export class DevtoolsAccess implements CanActivate {
  constructor(
    @Inject(DEVTOOLS_SETTINGS) private readonly settings: DevtoolsSettings,
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const { guard } = this.settings;
    if (guard === undefined) return true;
    if (!isGuardClass(guard)) return await guard(context);
    const instance = await this.moduleRef.create(guard);
    const answer = instance.canActivate(context);
    return typeof answer === 'object' && 'subscribe' in answer
      ? await new Promise((resolve, reject) => answer.subscribe({ next: resolve, error: reject }))
      : await answer;
  }
}

function isGuardClass(guard: DevtoolsGuard): guard is Type<CanActivate> {
  const { prototype } = guard as { readonly prototype?: { readonly canActivate?: unknown } };
  return typeof prototype?.canActivate === 'function';
}
