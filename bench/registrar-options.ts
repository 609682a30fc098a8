import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { UsageError } from './options.ts'
import type { RegistrarGround } from './registrar-ground.ts'
import type { Row } from './row.ts'

type RegistrarRow = Row<RegistrarGround>

export interface RegistrarBenchOptions {
  readonly rows: readonly RegistrarRow[]
  readonly repeat: number | undefined
  /** Takes the result as JSON. */
  readonly json: string | undefined
  /** The folder of the bundles. */
  readonly dist: string
  /** Of Node, for the registrar. */
  readonly nodeFlags: readonly string[]
}

/**
 * @returns undefined where help was asked for
 * @throws {UsageError}
 */
export function parseRegistrarOptions(
  args: readonly string[],
  rows: readonly RegistrarRow[],
): RegistrarBenchOptions | undefined {
  const values = parse(args)
  if (values.help === true) return undefined
  const names = [
    ...(values.rows ?? []).flatMap((name) => name.split(',')),
    ...(values.former === true ? ['former'] : []),
  ]
  const repeat = values.repeat === undefined ? undefined : Number(values.repeat)
  if (repeat !== undefined && (!Number.isSafeInteger(repeat) || repeat < 1)) {
    throw new UsageError(`--repeat ${values.repeat} is not valid: must be a positive number`)
  }
  return {
    rows: names.length === 0 ? rows.filter(({ isDefault }) => isDefault) : names.map((name) => find(name, rows)),
    repeat,
    json: values.json,
    dist: values.dist ?? join(import.meta.dirname, '../dist'),
    nodeFlags: values['node-flag'] ?? [],
  }
}

export function registrarHelp(rows: readonly RegistrarRow[]): string {
  const width = Math.max(...rows.map(({ name }) => name.length))
  const lines = rows.map(
    ({ name, summary, isDefault }) => `  ${name.padEnd(width)}  ${isDefault ? ' ' : '*'} ${summary}`,
  )
  return `Usage: npm run bench:registrar -- [options]

Measures the built registrar, in mode reconcile, with a real SPIRE server on SQLite and a real API server whose pods are objects only.
Needs Linux, root, and Go for the first build of both. Progress goes to standard error, the table to standard output.

Options:
  --rows NAME,...    only these rows
  --former           the row former alone, or with those of --rows
  --repeat N         how often each is measured
  --json FILE        also write every sample
  --dist FOLDER      measure another build
  --node-flag FLAG   one more flag of Node for the registrar, such as --node-flag=--cpu-prof; may be repeated
  --help

Rows (* only when named):
${lines.join('\n')}
`
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        rows: { type: 'string', multiple: true },
        former: { type: 'boolean' },
        repeat: { type: 'string' },
        json: { type: 'string' },
        dist: { type: 'string' },
        'node-flag': { type: 'string', multiple: true },
        help: { type: 'boolean', short: 'h' },
      },
    }).values
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

function find(name: string, rows: readonly RegistrarRow[]): RegistrarRow {
  const row = rows.find((row) => row.name === name)
  if (row === undefined)
    throw new UsageError(`there is no row ${name}; there are ${rows.map(({ name }) => name).join(', ')}`)
  return row
}
