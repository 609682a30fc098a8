import type { Command, HelpConfiguration, Option } from 'commander'
import { didYouMean } from '../runtime/did-you-mean.ts'

/** What every command's help ends with. */
export const exitCodes = `
Exit codes: 0 done, 1 failed, 2 the arguments or a configuration file cannot be used.`

/** How help is written: each flag with its default and its environment variable, in that order. */
export const helpStyle: HelpConfiguration = {
  optionDescription: describeOption,
}

function describeOption({ description, argChoices, defaultValue, defaultValueDescription, envVar }: Option): string {
  const notes: string[] = []
  if (argChoices !== undefined) notes.push(`one of ${argChoices.join(', ')}`)
  const standard = defaultValueDescription ?? (typeof defaultValue === 'boolean' ? undefined : defaultValue)
  if (standard !== undefined && standard !== '') notes.push(`default ${String(standard)}`)
  if (envVar !== undefined) notes.push(`$${envVar}`)
  return notes.length === 0 ? description : `${description} (${notes.join('; ')})`
}

/** Hands the program's way of showing errors and help on to every command below it; commander does so for one level only. */
export function inheritSettings(parent: Command): void {
  for (const command of parent.commands) {
    // This one is each command's own, and commander tells it to nobody else.
    const hasPositionalOptions = Reflect.get(command, '_enablePositionalOptions') === true
    // A command with exit codes of its own keeps them.
    const ownExit: unknown = Reflect.get(command, '_exitCallback')
    command.copyInheritedSettings(parent).enablePositionalOptions(hasPositionalOptions)
    if (ownExit) Reflect.set(command, '_exitCallback', ownExit)
    // Commander would only count the words that are too many; refuseUnknownCommand names them.
    if (command.commands.length > 0) command.allowExcessArguments()
    inheritSettings(command)
  }
}

/** A flag before a command is that of the one above it, and the command would do without it: perhaps in another cluster. */
export function refuseFlagsBefore(above: Command, command: Command): void {
  const given = above.options.find((option) => above.getOptionValueSource(option.attributeName()) === 'cli')
  if (given !== undefined) command.error(`error: ${given.long} must stand behind ${command.name()}`)
}

/** Ends with an error where a command that has others below it is followed by a word that is none of them. */
export function refuseUnknownCommand(command: Command): void {
  const [word] = command.args
  if (word === undefined || command.commands.length === 0 || command.registeredArguments.length > 0) return
  const guess = didYouMean(
    word,
    command.commands.map((known) => known.name()),
  )
  command.error(`error: unknown command '${word}'${guess === undefined ? '' : `\n(Did you mean ${guess}?)`}`)
}
