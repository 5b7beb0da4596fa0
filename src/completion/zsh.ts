import { printsProjectRecipes } from './project-recipes.ts';
import { type ArgumentWords, type CommandLine, type OptionWords } from './words.ts';

/** For zsh's own completion system: sourced after `compinit`, or as a file `_sandbox-cache` in `fpath`. */
export function zshScript({ program, options, commands }: CommandLine): string {
  const name = `_${program.replaceAll('-', '_')}`;
  const described = commands.map(
    (command) => `    ${quoted(`${command.name}:${command.description.replaceAll(':', '\\:')}`)}`,
  );
  const cases = commands.map(({ name: command, options: own, arguments: args }) => {
    const specs = [
      ...own.map(optionSpec),
      '$everywhere',
      ...args.map((argument, n) => argumentSpec(argument, n, name)),
    ];
    return `        ${command}) _arguments ${specs.join(' ')} ;;`;
  });
  return `#compdef ${program}
# zsh completion for ${program}; written by: ${program} completion zsh
${name}_recipes() {
  ${printsProjectRecipes(program)}
}
${name}() {
  local curcontext="$curcontext" state line
  local -a commands everywhere
  commands=(
${described.join('\n')}
  )
  everywhere=(
${options.map((option) => `    ${optionSpec(option)}`).join('\n')}
  )
  _arguments -C $everywhere '1:command:->command' '*::argument:->argument'
  case "$state" in
    command) _describe command commands ;;
    argument)
      case "$words[1]" in
${cases.join('\n')}
      esac ;;
  esac
}
if [ "$funcstack[1]" = ${name} ]; then
  ${name} "$@"
else
  compdef ${name} ${program}
fi
`;
}

/** `'*'{-C,--project}'[the project directory]:dir:_files -/'` */
function optionSpec({ names, description, value }: OptionWords): string {
  const files = { directory: '_files -/', file: '_files', text: ' ' };
  const action = value === undefined ? '' : `:${value}:${files[value]}`;
  const rest = `[${description.replace(/[[\]\\:]/g, '\\$&')}]${action}`;
  const head = value === undefined ? `(${names.join(' ')})` : '*';
  const spelled = names.map((name) => (value !== undefined && name.startsWith('--') ? `${name}=` : name));
  return spelled.length === 1
    ? quoted(`${head}${spelled[0]}${rest}`)
    : `${quoted(head)}{${spelled.join(',')}}${quoted(rest)}`;
}

function argumentSpec(
  { name, variadic, words, isRecipe, isCommand }: ArgumentWords,
  n: number,
  caller: string,
): string {
  if (isCommand) return quoted('*:command:_files');
  const head = `${variadic ? '*' : n + 1}:${name}:`;
  if (words.length === 0) return quoted(`${head} `);
  // Asked for when Tab is pressed, hence the double quotes.
  return isRecipe
    ? `"${head}(${words.join(' ')} $(${caller}_recipes))"`
    : quoted(`${head}(${words.join(' ')})`);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
