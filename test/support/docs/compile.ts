import path from 'node:path';
import ts from 'typescript';
import { moduleOf, type Fence } from './fences.js';

/** Compiles all examples in one program, as modules that lie beside tsconfig.json. Answers `page:line message`, sorted. */
export function compileFences(root: string, fences: readonly Fence[]): string[] {
  const options = readOptions(root);
  const modules = new Map(fences.map((fence) => [fileNameOf(root, fence), fence] as const));
  const program = ts.createProgram([...modules.keys()], options, hostWith(modules, options));
  return [...modules].flatMap(([name, fence]) => {
    const file = program.getSourceFile(name);
    if (file === undefined) return [`${fence.page}:${fence.line} was not compiled`];
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map((found) =>
      describe(fence, file, found),
    );
  });
}

function readOptions(root: string): ts.CompilerOptions {
  const file = path.join(root, 'tsconfig.json');
  const { config } = ts.readConfigFile(file, (name) => ts.sys.readFile(name)) as { config: unknown };
  return { ...ts.parseJsonConfigFileContent(config, ts.sys, root).options, noEmit: true };
}

/** In the root, whatever folder the page is in: there `nest-async-engine` and `@nestjs/common` are found. */
function fileNameOf(root: string, { page, line }: Fence): string {
  return path.join(root, `${page.replaceAll('/', '__')}.${line}.ts`);
}

function hostWith(modules: ReadonlyMap<string, Fence>, options: ts.CompilerOptions): ts.CompilerHost {
  const host = ts.createCompilerHost(options, true);
  return {
    ...host,
    fileExists: (name) => modules.has(name) || host.fileExists(name),
    readFile: (name) => textOf(modules.get(name)) ?? host.readFile(name),
    getSourceFile: (name, version, ...rest) => {
      const text = textOf(modules.get(name));
      if (text === undefined) return host.getSourceFile(name, version, ...rest);
      return ts.createSourceFile(name, text, version, true);
    },
  };
}

function textOf(fence: Fence | undefined): string | undefined {
  return fence === undefined ? undefined : moduleOf(fence);
}

function describe(fence: Fence, file: ts.SourceFile, { start = 0, messageText }: ts.Diagnostic): string {
  const line = file.getLineAndCharacterOfPosition(start).line + 1;
  return `${fence.page}:${line} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
}
