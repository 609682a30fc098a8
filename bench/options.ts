import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Row } from './row.ts'

export interface BenchOptions {
  readonly rows: readonly Row[]
  readonly repeat: number | undefined
  /** Takes the result as JSON. */
  readonly json: string | undefined
  /** The folder of the bundles. */
  readonly dist: string
  readonly driverFlags: readonly string[]
}

/** Arguments that make no sense. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  readonly code = 'USAGE'
}

/**
 * @returns undefined where help was asked for
 * @throws {UsageError}
 */
export function parseOptions(args: readonly string[], rows: readonly Row[]): BenchOptions | undefined {
  const { values, positionals } = parse(args)
  if (values.help === true) return undefined
  if (positionals.length > 0 && values.rows === undefined) {
    throw new UsageError(`unexpected argument ${positionals[0]}; rows are named after --rows`)
  }
  const names = [...(values.rows ?? []), ...positionals].flatMap((name) => name.split(','))
  for (const option of ['soak', 'kubelet'] as const) if (values[option] === true) names.push(rowOf[option])
  const chosen = names.length === 0 ? rows.filter(({ isDefault }) => isDefault) : names.map((name) => find(name, rows))
  const repeat = values.repeat === undefined ? undefined : Number(values.repeat)
  if (repeat !== undefined && (!Number.isSafeInteger(repeat) || repeat < 1)) {
    throw new UsageError(`--repeat ${values.repeat} is not valid: must be a positive number`)
  }
  return {
    rows: chosen,
    repeat,
    json: values.json,
    dist: values.dist ?? join(import.meta.dirname, '../dist'),
    driverFlags: values['driver-flag'] ?? [],
  }
}

export function helpText(rows: readonly Row[]): string {
  const width = Math.max(...rows.map(({ name }) => name.length))
  const lines = rows.map(
    ({ name, summary, isDefault }) => `  ${name.padEnd(width)}  ${isDefault ? ' ' : '*'} ${summary}`,
  )
  return `Usage: npm run bench -- [options]

Measures the built driver against a real API server, with the floor of the machine in the same run. Needs Linux, root, and Go for
the first build of the API server. Progress goes to standard error, the table to standard output.

Options:
  --rows NAME...       only these rows
  --soak               the row soak alone, or with those of --rows
  --kubelet            the row pods alone, or with those of --rows
  --repeat N           how often what is quick is measured
  --json FILE          also write every sample
  --dist FOLDER        measure another build
  --driver-flag FLAG   one more flag of podpass driver, such as --driver-flag=--log-level=error; may be repeated
  --help

Rows (* only when named):
${lines.join('\n')}
`
}

const rowOf = { soak: 'soak', kubelet: 'pods' } as const

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        rows: { type: 'string', multiple: true },
        soak: { type: 'boolean' },
        kubelet: { type: 'boolean' },
        repeat: { type: 'string' },
        json: { type: 'string' },
        dist: { type: 'string' },
        'driver-flag': { type: 'string', multiple: true },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

function find(name: string, rows: readonly Row[]): Row {
  const row = rows.find((row) => row.name === name)
  if (row === undefined)
    throw new UsageError(`there is no row ${name}; there are ${rows.map(({ name }) => name).join(', ')}`)
  return row
}
