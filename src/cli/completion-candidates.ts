import type { Command, Option } from 'commander'
import { withRole } from './program-role.ts'

/** What a shell may offer for the word under the cursor. */
export interface Completion {
  readonly candidates: readonly Candidate[]
  /** What the shell completes by itself, besides the candidates. */
  readonly paths: 'files' | 'folders' | undefined
}

/** A whole word. */
export interface Candidate {
  readonly word: string
  /** Empty where the word says it all. */
  readonly description: string
}

const nothing: Completion = { candidates: [], paths: undefined }

/**
 * Completes a command line of a program, from its commands and flags as they are declared.
 *
 * @param words - after the program's name; the last one, which may be empty, is completed
 */
export function complete(program: Command, words: readonly string[]): Completion {
  const current = words.at(-1) ?? ''
  const before = words.slice(0, -1)
  const { command, awaiting, operands, isOver } = follow(program, withRole(before))
  if (awaiting !== undefined) {
    const values = valuesOf(awaiting, current)
    // A flag whose value may be left out can be followed by anything.
    if (awaiting.required || values.candidates.length > 0) return values
  }
  const [, long, value] = /^(--[^=]+)=(.*)$/s.exec(current) ?? []
  if (long !== undefined && value !== undefined && !isOver) {
    const option = optionOf(command, long)
    return option === undefined ? nothing : prefixed(valuesOf(option, value), `${long}=`)
  }
  if (current.startsWith('-') && !isOver) {
    return { candidates: flagsOf(command).filter(({ word }) => word.startsWith(current)), paths: undefined }
  }
  const commands = operands > 0 || isOver ? [] : commandsOf(command)
  const argument = command.registeredArguments[Math.min(operands, command.registeredArguments.length - 1)]
  const isWanted = argument !== undefined && (argument.variadic || operands < command.registeredArguments.length)
  const choices = isWanted ? (argument.argChoices ?? []).map((word) => ({ word, description: '' })) : []
  return {
    candidates: [...commands, ...choices].filter(({ word }) => word.startsWith(current)),
    paths: isWanted && argument.name() === 'file' ? 'files' : undefined,
  }
}

/** Where a command line has got to. */
interface Place {
  readonly command: Command
  /** The flag whose value comes next. */
  readonly awaiting: Option | undefined
  /** How many words there were that are neither commands nor flags. */
  readonly operands: number
  /** Whether `--` has ended the flags. */
  readonly isOver: boolean
}

function follow(program: Command, words: readonly string[]): Place {
  let command = program
  let awaiting: Option | undefined
  let operands = 0
  let isOver = false
  for (const word of words) {
    const isValue = awaiting !== undefined && (awaiting.required || !word.startsWith('-'))
    awaiting = isValue ? undefined : awaiting
    if (isValue) continue
    awaiting = undefined
    if (!isOver && word === '--') isOver = true
    else if (!isOver && word.startsWith('-') && word !== '-') {
      const option = word.includes('=') ? undefined : optionOf(command, word)
      if (option !== undefined && !option.isBoolean() && !option.negate) awaiting = option
    } else {
      const next = operands === 0 && !isOver ? command.commands.find((known) => known.name() === word) : undefined
      if (next === undefined) operands++
      else command = next
    }
  }
  return { command, awaiting, operands, isOver }
}

function optionOf(command: Command, flag: string): Option | undefined {
  return command.options.find(({ long, short }) => long === flag || short === flag)
}

function flagsOf(command: Command): readonly Candidate[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .map(({ long, description }) => ({ word: long ?? '', description: summary(description) }))
}

function commandsOf(command: Command): readonly Candidate[] {
  const help = command.createHelp()
  return help.visibleCommands(command).map((known) => ({
    word: known.name(),
    description: summary(help.subcommandDescription(known)),
  }))
}

/** The placeholder of a value says what it is: `<file>`, `<folder>`, `[boolean]`. */
function valuesOf({ argChoices, flags }: Option, start: string): Completion {
  const placeholder = /[<[]([^>\]]+)[>\]]/.exec(flags)?.[1]
  const words = argChoices ?? (placeholder === 'boolean' ? ['true', 'false'] : [])
  const candidates = words.filter((word) => word.startsWith(start)).map((word) => ({ word, description: '' }))
  return { candidates, paths: placeholder === 'file' ? 'files' : placeholder === 'folder' ? 'folders' : undefined }
}

function prefixed({ candidates, paths }: Completion, prefix: string): Completion {
  return { candidates: candidates.map(({ word, description }) => ({ word: `${prefix}${word}`, description })), paths }
}

/** A few words for a menu. */
function summary(description: string): string {
  return /^.*?(?=[.;:,](?: |$)| \(|$)/.exec(description.replaceAll('\n', ' '))?.[0] ?? ''
}
