import { Inject, Module, type DynamicModule, type NestModule } from '@nestjs/common';
import { HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import { IllegalStateError } from '../../engine/index.js';
import { Devtools, DEVTOOLS_SETTINGS } from './devtools.js';
import { devtoolsController } from './devtools.controller.js';
import { DevtoolsAccess } from './devtools.guard.js';
import { settingsOf, type DatabaseDevtoolsOptions } from './devtools-options.js';
import { environment } from '../shared/environment.js';

/**
 * A page in the application that shows what it does on its databases, live: requests with their statements on
 * a timeline, statements by text, the pool, locks, and what is worth a look. For development.
 */
@Module({})
export class DatabaseDevtoolsModule implements NestModule {
  /** @internal */
  constructor(
    @Inject(Devtools) private readonly devtools: Devtools,
    @Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
  ) {}

  /**
   * Puts the page at `path` (default `/_database`), and `Server-Timing` into the answers of the application.
   *
   * @throws ArgumentError for a wrong option, IllegalStateError where NODE_ENV is neither `development` nor
   * `test` and no `guard` is given; where it is not set, only requests of the same machine see the page.
   *
   * @example
   * ```ts
   * @Module({ imports: [DatabaseModule.forRoot(), DatabaseDevtoolsModule.forRoot()] })
   * export class AppModule {}
   * ```
   */
  static forRoot(options: DatabaseDevtoolsOptions = {}): DynamicModule {
    const settings = settingsOf(options);
    const { kind, name } = environment();
    if (kind === 'other' && settings.guard === undefined) {
      throw new IllegalStateError(
        `DatabaseDevtoolsModule shows the SQL of the application, and NODE_ENV is ${name.trim()}. Leave the module out there, ` +
          'or say who may see it: forRoot({ guard }).',
      );
    }
    return {
      module: DatabaseDevtoolsModule,
      controllers: [devtoolsController(settings.path)],
      providers: [{ provide: DEVTOOLS_SETTINGS, useValue: settings }, Devtools, DevtoolsAccess],
    };
  }

  /** Puts itself in front of every route; called by Nest. */
  configure(): void {
    const { path } = this.devtools;
    const pages = [...this.modules.values()].flatMap(({ instance }) =>
      instance instanceof DatabaseDevtoolsModule ? instance.devtools.path : [],
    );
    // The guard of one would say nothing about the other.
    if (pages.filter((each) => each === path).length > 1) {
      throw new IllegalStateError(
        `there are two DatabaseDevtoolsModules at ${path}. Import it once, or give one of them another path: forRoot({ path }).`,
      );
    }
    this.adapterHost.httpAdapter.use(this.devtools.exchanges.middleware());
  }
}
