import { printsProjectRecipes } from './project-recipes.ts';
import { allOptions, argumentValues, type CommandLine, type OptionWords, takesRecipes } from './words.ts';

/** Works with bash 3.2 and later. macOS has 3.2, which lacks `mapfile` and `compopt`. */
export function bashScript(commandLine: CommandLine): string {
  const { program, options, commands } = commandLine;
  const name = `_${program.replaceAll('-', '_')}`;
  const all = allOptions(commandLine);
  const taking = (value: OptionWords['value']): string =>
    [...new Set(all.filter((option) => option.value === value).flatMap(({ names }) => names))].join('|');
  const cases = commands.map((command) => {
    const words = `${argumentValues(command)}${takesRecipes(command) ? ` $(${name}_recipes)` : ''}`;
    return `    ${command.name}) options='${longNames(command.options)}' words="${words}" ;;`;
  });
  return `# bash completion for ${program}; written by: ${program} completion bash
${name}_recipes() {
  ${printsProjectRecipes(program)}
}
${name}() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD - 1]}" command='' options='' words='' i
  local IFS=$' \\t\\n'
  COMPREPLY=()
  # bash takes --project=dir for three words.
  if [ "$word" = '=' ]; then word=''
  elif [ "$before" = '=' ]; then before="\${COMP_WORDS[COMP_CWORD - 2]}"
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "\${COMP_WORDS[i]}" in
      --)
        IFS=$'\\n'
        COMPREPLY=($(compgen -A command -A file -- "$word"))
        return ;;
      ${[taking('directory'), taking('file'), taking('text')].join('|')})
        i=$((i + 1))
        if [ "\${COMP_WORDS[i]}" = '=' ]; then i=$((i + 1)); fi ;;
      -*) ;;
      *) if [ -z "$command" ]; then command="\${COMP_WORDS[i]}"; fi ;;
    esac
  done
  case "$before" in
    ${taking('directory')})
      compopt -o filenames 2>/dev/null
      IFS=$'\\n'
      COMPREPLY=($(compgen -d -- "$word"))
      return ;;
    ${taking('file')})
      compopt -o filenames 2>/dev/null
      IFS=$'\\n'
      COMPREPLY=($(compgen -f -- "$word"))
      return ;;
    ${taking('text')}) return ;;
  esac
  case "$command" in
    '') words='${commands.map((command) => command.name).join(' ')}' ;;
${cases.join('\n')}
  esac
  case "$word" in
    -*) words="$options ${longNames(options)}" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F ${name} ${program}
`;
}

/** Only the long names are offered: a single letter does not tell what it means. */
function longNames(options: readonly OptionWords[]): string {
  return options.map(({ names }) => names.at(-1)).join(' ');
}
