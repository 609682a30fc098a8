// The project's own benchmark: npm run bench -- --help
import { writeFile } from 'node:fs/promises'
import type { Figure } from './figure.ts'
import { Ground } from './ground.ts'
import { describeMachine } from './machine.ts'
import { type BenchOptions, helpText, parseOptions, UsageError } from './options.ts'
import type { Row } from './row.ts'
import { idle } from './rows/idle.ts'
import { manyVolumesP256, manyVolumesRsa } from './rows/many-volumes.ts'
import { memoryOverRounds } from './rows/memory.ts'
import { oneVolumeP256, oneVolumeRsa, oneVolumeRsaEmpty } from './rows/one-volume.ts'
import { podsOnNode } from './rows/pods.ts'
import { restart } from './rows/restart.ts'
import { soak } from './rows/soak.ts'
import { renderTable } from './table.ts'

const rows: readonly Row[] = [
  oneVolumeP256,
  oneVolumeRsa,
  oneVolumeRsaEmpty,
  manyVolumesP256,
  manyVolumesRsa,
  idle,
  memoryOverRounds,
  restart,
  soak,
  podsOnNode,
]

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  let options: BenchOptions | undefined
  try {
    options = parseOptions(args, rows)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`bench: ${error.message}`)
    return 2
  }
  if (options === undefined) {
    process.stdout.write(helpText(rows))
    return 0
  }
  await measure(options)
  return 0
}

/**
 * A signal may end this process at any point: the kernel ends its children with it, with them the mounts, and the sweeper of the
 * control plane's workspace removes the files.
 */
async function measure(options: BenchOptions): Promise<void> {
  const machine = await describeMachine()
  const started = performance.now()
  const say = (line: string): void => {
    console.error(`${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s  ${line}`)
  }
  if (machine.load > 0.5) say(`the machine is at work already (load ${machine.load.toFixed(1)}); mind the floors`)
  await using parts = new AsyncDisposableStack()
  const ground = await Ground.start({ ...options, say })
  parts.defer(() => ground.close())
  const figures: Figure[] = []
  for (const row of options.rows) {
    say(row.name)
    const tell = (line: string): void => say(`${row.name}: ${line}`)
    figures.push(...(await row.run(ground, { repeat: options.repeat, say: tell })))
  }
  const { cpu, cores, kernel, node, version } = machine
  process.stdout.write(`podpass ${version}, Node ${node}, Linux ${kernel}, ${cores} cores of ${cpu}\n`)
  process.stdout.write(`${renderTable(figures)}\n`)
  if (options.json === undefined) return
  const result = { at: new Date().toISOString(), machine, driverFlags: options.driverFlags, figures }
  await writeFile(options.json, `${JSON.stringify(result, undefined, 2)}\n`)
}
