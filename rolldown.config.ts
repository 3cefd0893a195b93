// Makes `dist` of the modules that tsc wrote to `build`: a file for each door of package.json "exports" in both formats,
// what doors have in common in `shared`, and the types.
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { defineConfig, type OutputOptions, type Plugin } from 'rolldown';
import ts from 'typescript';

interface Manifest {
  readonly exports: Readonly<Record<string, string | { readonly import: { readonly types: string } }>>;
}

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest;

/** `index`, `engine/index`, …: where a door's files are in `build` and in `dist`. */
const doors = Object.values(manifest.exports)
  .filter((target) => typeof target === 'object')
  .map((target) => target.import.types.slice('./dist/'.length, -'.d.ts'.length));

/** What more than one door needs. What imports the optional peer of a door stands in none of them. */
const SHARED = [
  { name: 'engine', test: /[\\/]build[\\/]engine[\\/]/ },
  { name: 'rx', test: /[\\/]build[\\/]rx[\\/]/ },
  { name: 'migrations', test: /[\\/]build[\\/]migrations[\\/]/ },
  { name: 'nest', test: /[\\/]build[\\/]nest[\\/](?!devtools|event-emitter|opentelemetry|terminus)/ },
  { name: 'embedded', test: /[\\/]build[\\/]embedded[\\/]/ },
];

/** The declarations that the doors lead to. Those of what no user can name are left out. */
function reachableDeclarations(): Set<string> {
  const found = new Set<string>();
  const open = doors.map((door) => `${door}.d.ts`);
  for (const name of open) {
    if (found.has(name)) continue;
    found.add(name);
    const { importedFiles } = ts.preProcessFile(readFileSync(path.join('build', name), 'utf8'));
    for (const { fileName } of importedFiles) {
      if (fileName.startsWith('.'))
        open.push(path.join(path.dirname(name), fileName).replace(/\.js$/, '.d.ts'));
    }
  }
  return found;
}

const declarations: Plugin = {
  name: 'declarations',
  writeBundle({ dir = '' }) {
    for (const name of reachableDeclarations()) cpSync(path.join('build', name), path.join(dir, name));
  },
};

const packageType: Plugin = {
  name: 'package-type',
  writeBundle({ dir = '' }) {
    writeFileSync(path.join(dir, 'package.json'), JSON.stringify({ type: 'commonjs' }));
  },
};

/** V8 keeps a file with a character above U+00FF in two bytes for each of its characters. */
const oneByteSources: Plugin = {
  name: 'one-byte-sources',
  generateBundle(_, bundle) {
    for (const file of Object.values(bundle)) {
      if (file.type === 'chunk') file.code = file.code.replaceAll(/[\u0100-\uffff]/g, escaped);
    }
  },
};

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

// What minifies an application puts all code in one file: a call site is then told from our code by these two places.
const PIECE = 'nestAsyncEngineCode';

export const output: OutputOptions = {
  intro: `const ${PIECE} = [new Error()];`,
  outro: `${PIECE}.push(new Error());\n(globalThis[Symbol.for('nest-async-engine.code')] ??= []).push(${PIECE});`,
  entryFileNames: '[name].js',
  chunkFileNames: 'shared/[name].js',
  codeSplitting: { groups: SHARED },
  comments: { annotation: true, jsdoc: false, legal: true },
  minifyInternalExports: false,
};

export default defineConfig({
  input: Object.fromEntries(doors.map((door) => [door, path.join('build', `${door}.js`)])),
  experimental: { attachDebugInfo: 'none' },
  platform: 'node',
  external: /^[^./]/,
  output: [
    { ...output, dir: 'dist', format: 'esm', plugins: [oneByteSources, declarations] },
    {
      ...output,
      dir: 'dist/cjs',
      format: 'cjs',
      strict: true,
      // Jest without flags can require(), and cannot import().
      dynamicImportInCjs: false,
      plugins: [oneByteSources, declarations, packageType],
    },
  ],
});
