import { Argument, Command } from 'commander'
import { complete } from './completion-candidates.ts'
import { completionScripts, type Shell, shells } from './completion-scripts.ts'

const examples = `
Examples:
  source <(podpass completion bash)           in ~/.bashrc
  source <(podpass completion zsh)            in ~/.zshrc, after compinit
  podpass completion fish | source            in ~/.config/fish/config.fish`

/** `podpass completion`: what makes a shell complete commands, flags and their values. */
export function completionCommand(): Command {
  const command = new Command('completion')
    .summary('print what makes a shell complete podpass')
    .description('Print a script that makes a shell complete the commands of podpass, their flags and values.')
    .addArgument(new Argument('<shell>', 'your shell').choices(shells))
    .addHelpText('after', examples)
    .action((shell: Shell) => {
      process.stdout.write(completionScripts[shell])
    })
  return command.addCommand(candidatesCommand(), { hidden: true })
}

/** What those scripts ask at each Tab. Not for people, so not in any help. */
function candidatesCommand(): Command {
  return new Command('candidates')
    .argument('[words...]', 'the words of the line so far')
    .action((words: string[], _flags: object, self: Command) => {
      const program = self.parent?.parent
      if (program === null || program === undefined) return
      const { candidates, paths } = complete(program, words)
      const lines = candidates.map(({ word, description }) => `${word}\t${description}`)
      if (paths !== undefined) lines.push(`:${paths}`)
      process.stdout.write(lines.map((line) => `${line}\n`).join(''))
    })
}
