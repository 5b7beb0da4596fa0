import { printsProjectRecipes } from './project-recipes.ts';
import { allOptions, argumentValues, type CommandLine, type OptionWords, takesRecipes } from './words.ts';

export function fishScript(commandLine: CommandLine): string {
  const { program, options, commands } = commandLine;
  const base = `__${program.replaceAll('-', '_')}`;
  const name = `${base}_command`;
  const taking = allOptions(commandLine).flatMap(({ names, value }) => (value === undefined ? [] : names));
  const lines = commands.flatMap((command) => {
    const isIt = `-n 'test (${name}) = ${command.name}'`;
    const words = `${argumentValues(command)}${takesRecipes(command) ? ` (${base}_recipes)` : ''}`;
    return [
      `-n 'test (${name}) = none' -a ${command.name} -d ${quoted(command.description)}`,
      ...command.options.map((option) => `${isIt} ${optionWords(option)}`),
      ...(words === '' ? [] : [`${isIt} -a ${quoted(words)}`]),
    ];
  });
  return `# fish completion for ${program}; written by: ${program} completion fish
function ${base}_recipes
    ${printsProjectRecipes(program)}
end
function ${name}
    set -l command none
    set -l skip no
    for word in (commandline -opc)[2..-1]
        if test $skip = yes
            set skip no
        else if contains -- $word ${[...new Set(taking)].join(' ')}
            set skip yes
        else if test $word = --
            set command other
            break
        else if test $command = none; and not string match -q -- '-*' $word
            set command $word
        end
    end
    echo $command
end
complete -c ${program} -f
complete -c ${program} -n 'test (${name}) = other' -F
${[...options.map(optionWords), ...lines].map((line) => `complete -c ${program} ${line}`).join('\n')}
`;
}

/** `-s C -l project -d 'the project directory' -x -a '(__fish_complete_directories)'` */
function optionWords({ names, description, value }: OptionWords): string {
  const flags = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
  const takes = { directory: "-x -a '(__fish_complete_directories)'", file: '-r -F', text: '-x' };
  return [...flags, `-d ${quoted(description)}`, ...(value === undefined ? [] : [takes[value]])].join(' ');
}

function quoted(text: string): string {
  return `'${text.replace(/['\\]/g, '\\$&')}'`;
}
