import type { InitializeHook, ResolveHook } from 'node:module';

const LIBRARY = /^nest-async-engine(\/|$)/;
const BARE = /^[^./]/;

/** The folder that this build was made in. */
const root = new URL('../../../', import.meta.url);
let folder = root.href;

/** `library` is the URL of the other folder, with a slash at its end. */
export const initialize: InitializeHook<string> = (library) => {
  folder = library;
};

/** The other build by the package's name; what it imports itself is what this one imports. */
export const resolve: ResolveHook = (specifier, context, next) => {
  if (LIBRARY.test(specifier)) return next(specifier, { ...context, parentURL: `${folder}package.json` });
  const isDependency = BARE.test(specifier) && !specifier.includes(':');
  if (!isDependency || context.parentURL?.startsWith(folder) !== true) return next(specifier, context);
  return next(specifier, { ...context, parentURL: `${root.href}package.json` });
};
