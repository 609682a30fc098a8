import { writeFile } from 'node:fs/promises'
import type { Figure } from './figure.ts'
import { describeMachine } from './machine.ts'
import { UsageError } from './options.ts'
import type { Row } from './row.ts'
import { renderTable } from './table.ts'

/** What every benchmark of rows is told. */
export interface RowsOptions<On> {
  readonly rows: readonly Row<On>[]
  readonly repeat: number | undefined
  /** Takes the result as JSON. */
  readonly json: string | undefined
}

/** A benchmark: rows on one ground. */
export interface RowsBenchmark<On, Options extends RowsOptions<On>> {
  /**
   * @returns undefined where help was asked for
   * @throws {UsageError}
   */
  readonly parse: (args: readonly string[]) => Options | undefined
  readonly help: () => string
  readonly start: (options: Options & { readonly say: (line: string) => void }) => Promise<On>
  /** What of the options belongs into the JSON. */
  readonly describe: (options: Options) => object
}

/**
 * Runs a benchmark from the command line: progress to standard error, the table to standard output.
 *
 * A signal may end this process at any point: the kernel ends its children with it, with them the mounts, and the sweeper of the
 * control plane's workspace removes the files.
 *
 * @returns the exit code
 */
export async function runRows<On extends { close(): Promise<void> }, Options extends RowsOptions<On>>(
  benchmark: RowsBenchmark<On, Options>,
  args: readonly string[],
): Promise<number> {
  let options: Options | undefined
  try {
    options = benchmark.parse(args)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`bench: ${error.message}`)
    return 2
  }
  if (options === undefined) process.stdout.write(benchmark.help())
  else await measure(benchmark, options)
  return 0
}

async function measure<On extends { close(): Promise<void> }, Options extends RowsOptions<On>>(
  { start, describe }: RowsBenchmark<On, Options>,
  options: Options,
): Promise<void> {
  const machine = await describeMachine()
  const started = performance.now()
  const say = (line: string): void => {
    console.error(`${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s  ${line}`)
  }
  if (machine.load > 0.5) say(`the machine is at work already (load ${machine.load.toFixed(1)}); mind the floors`)
  await using parts = new AsyncDisposableStack()
  const ground = await start({ ...options, say })
  parts.defer(() => ground.close())
  const figures: Figure[] = []
  for (const row of options.rows) {
    say(row.name)
    figures.push(...(await row.run(ground, { repeat: options.repeat, say: (line) => say(`${row.name}: ${line}`) })))
  }
  const { cpu, cores, kernel, node, version } = machine
  process.stdout.write(`podpass ${version}, Node ${node}, Linux ${kernel}, ${cores} cores of ${cpu}\n`)
  process.stdout.write(`${renderTable(figures)}\n`)
  if (options.json === undefined) return
  const result = { at: new Date().toISOString(), machine, ...describe(options), figures }
  await writeFile(options.json, `${JSON.stringify(result, undefined, 2)}\n`)
}
