import type { Command, Option } from 'commander'
import { readFile } from 'node:fs/promises'
import { type Document, parseDocument } from 'yaml'
import { didYouMean } from '../runtime/did-you-mean.ts'
import { UsageError } from './usage-error.ts'

/** A configuration file that cannot be used. */
export class ConfigFileError extends UsageError {
  override readonly name = 'ConfigFileError'
  override readonly code = 'CONFIG_FILE'
}

/**
 * Takes flags from a YAML file: an object from flag names, without their dashes, to values; a list for a flag that may be given
 * more than once. Flags and environment variables win over the file.
 *
 * @throws {ConfigFileError} with everything that is wrong, each with its place
 */
export async function applyConfigFile(command: Command, path: string): Promise<void> {
  const text = await readFile(path, 'utf8').catch((error: Error) => {
    throw new ConfigFileError(`--config ${path}: ${error.message}`, { cause: error })
  })
  const document = parseDocument(text)
  const [broken] = document.errors
  if (broken !== undefined) throw new ConfigFileError(`--config ${path}: ${broken.message.split('\n')[0] ?? ''}`)
  const values = contentOf(document, path)
  if (values === null) return
  if (typeof values !== 'object' || Array.isArray(values)) {
    throw new ConfigFileError(`--config ${path}: It must be an object of flags, such as "node-id: worker-1".`)
  }
  const problems: string[] = []
  for (const [name, value] of Object.entries(values)) {
    const problem = applyValue(command, name, value)
    if (problem !== undefined) problems.push(`--config ${path}: ${name}: ${problem}`)
  }
  if (problems.length > 0) throw new ConfigFileError(problems.join('\n'))
}

/** @throws {ConfigFileError} for aliases without an anchor, or too many of them */
function contentOf(document: Document, path: string): unknown {
  try {
    return document.toJS()
  } catch (error) {
    throw new ConfigFileError(`--config ${path}: ${(error as Error).message}`, { cause: error })
  }
}

function applyValue(command: Command, name: string, value: unknown): string | undefined {
  const options = command.options.filter((option) => option.name() !== 'config')
  const option = options.find((known) => known.name() === name)
  if (option === undefined) {
    const guess = didYouMean(
      name,
      options.filter(({ hidden }) => !hidden).map((known) => known.name()),
    )
    return `There is no such flag${guess === undefined ? '.' : `; did you mean ${guess}?`}`
  }
  const source = command.getOptionValueSource(option.attributeName())
  if (source === 'cli' || source === 'env') return undefined
  const items = Array.isArray(value) ? (value as unknown[]) : [value]
  if (items.some((item) => !['string', 'number', 'boolean'].includes(typeof item)))
    return 'It must be a text, a number or a boolean.'
  try {
    command.setOptionValueWithSource(option.attributeName(), parseAll(option, items.map(String)), 'config')
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

function parseAll(option: Option, items: readonly string[]): unknown {
  let parsed: unknown = Array.isArray(option.defaultValue) ? option.defaultValue : undefined
  for (const item of items) parsed = option.parseArg === undefined ? item : option.parseArg(item, parsed)
  return parsed
}
