/** Holds a value against a type of another package: what the compiler says of it, misspelt names included. */
import ts from 'typescript';

export interface Sample {
  /** What to call it in an error. */
  name: string;
  /** The package, or a module of it, that exports the type. */
  module: string;
  type: string;
  value: unknown;
}

const FOLDER = new URL('.', import.meta.url).pathname;

/** One compilation for all of them, which takes a second or two. @returns a line for each error */
export function typeErrors(samples: readonly Sample[]): string[] {
  const sources = new Map(samples.map((sample, index) => [`${FOLDER}sample-${index}.ts`, sourceOf(sample)]));
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
  };
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => sources.has(path) || fileExists(path);
  host.readFile = (path) => sources.get(path) ?? readFile(path);
  host.getSourceFile = (path, target, ...rest) => {
    const text = sources.get(path);
    return text === undefined
      ? getSourceFile(path, target, ...rest)
      : ts.createSourceFile(path, text, target);
  };
  const program = ts.createProgram([...sources.keys()], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ file, messageText }) => {
    const index = [...sources.keys()].indexOf(file?.fileName ?? '');
    return `${samples[index]?.name ?? file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
  });
}

function sourceOf({ module, type, value }: Sample): string {
  return `import type { ${type} } from '${module}';\nexport const sample: ${type} = ${JSON.stringify(value)};\n`;
}
