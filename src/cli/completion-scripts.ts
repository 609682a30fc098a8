/** The shells that can be completed in. */
export const shells = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof shells)[number]

/**
 * What a shell is to evaluate, so that it asks `podpass completion candidates` at each Tab. That prints a candidate a line, a tab and a
 * description behind it, and last `:files` or `:folders` where the shell is to offer those.
 */
export const completionScripts: Readonly<Record<Shell, string>> = {
  // Bash takes = and : for ends of words (COMP_WORDBREAKS), so the line is split here, and of --flag=value only the value goes back.
  bash: `# bash completion for podpass; use it with: source <(podpass completion bash)
_podpass() {
  local line=\${COMP_LINE:0:COMP_POINT} current= answer
  local -a words
  read -ra words <<< "$line"
  if [[ $line == *[[:space:]] ]]; then words+=(''); fi
  current=\${words[\${#words[@]} - 1]}
  COMPREPLY=()
  while IFS= read -r answer; do
    case $answer in
      :files) while IFS= read -r answer; do COMPREPLY+=("$answer"); done < <(compgen -f -- "\${current#*=}") ;;
      :folders) while IFS= read -r answer; do COMPREPLY+=("$answer"); done < <(compgen -d -- "\${current#*=}") ;;
      *)
        answer=\${answer%%$'\\t'*}
        if [[ $current == *=* ]]; then answer=\${answer#*=}; fi
        COMPREPLY+=("$answer")
        ;;
    esac
  done < <("\${words[0]}" completion candidates -- "\${words[@]:1}" 2> /dev/null)
}
complete -o filenames -F _podpass podpass
`,
  zsh: `#compdef podpass
# zsh completion for podpass; use it with: source <(podpass completion zsh), after compinit
_podpass() {
  local answer paths=
  local -a candidates
  for answer in "\${(@f)$("\${words[1]}" completion candidates -- "\${(@)words[2,CURRENT]}" 2> /dev/null)}"; do
    case $answer in
      (:files|:folders) paths=$answer ;;
      (?*) candidates+=("\${\${answer%%$'\\t'*}//:/\\\\:}:\${answer#*$'\\t'}") ;;
    esac
  done
  (( \${#candidates} )) && _describe podpass candidates
  compset -P '*='
  case $paths in
    (:files) _files ;;
    (:folders) _files -/ ;;
  esac
}
compdef _podpass podpass
`,
  fish: `# fish completion for podpass; use it with: podpass completion fish | source
function __podpass_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for answer in ($words[1] completion candidates -- $words[2..-1] "$current" 2> /dev/null)
        switch $answer
            case :files
                __fish_complete_path (string replace -r -- '^--[^=]+=' '' "$current")
            case :folders
                __fish_complete_directories (string replace -r -- '^--[^=]+=' '' "$current")
            case '*'
                echo $answer
        end
    end
end
complete -c podpass -f -a '(__podpass_complete)'
`,
}
