// How fast pods get their entries: npm run bench:registrar -- --help
import { writeFile } from 'node:fs/promises'
import type { Figure } from './figure.ts'
import { describeMachine } from './machine.ts'
import { UsageError } from './options.ts'
import { RegistrarGround } from './registrar-ground.ts'
import { parseRegistrarOptions, type RegistrarBenchOptions, registrarHelp } from './registrar-options.ts'
import { burst, burstLarge, spaced, spacedLarge } from './registrar-rows/arrivals.ts'
import { firstSync } from './registrar-rows/first-sync.ts'
import { former } from './registrar-rows/former.ts'
import { registrarIdle } from './registrar-rows/idle.ts'
import { registrarMemory } from './registrar-rows/memory.ts'
import type { Row } from './row.ts'
import { renderTable } from './table.ts'

const rows: readonly Row<RegistrarGround>[] = [
  firstSync,
  spaced,
  burst,
  registrarIdle,
  registrarMemory,
  spacedLarge,
  burstLarge,
  former,
]

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  let options: RegistrarBenchOptions | undefined
  try {
    options = parseRegistrarOptions(args, rows)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`bench: ${error.message}`)
    return 2
  }
  if (options === undefined) process.stdout.write(registrarHelp(rows))
  else await measure(options)
  return 0
}

async function measure(options: RegistrarBenchOptions): Promise<void> {
  const machine = await describeMachine()
  const started = performance.now()
  const say = (line: string): void => {
    console.error(`${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s  ${line}`)
  }
  if (machine.load > 0.5) say(`the machine is at work already (load ${machine.load.toFixed(1)}); mind the floors`)
  await using parts = new AsyncDisposableStack()
  const ground = await RegistrarGround.start({ ...options, say })
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
  const result = { at: new Date().toISOString(), machine, nodeFlags: options.nodeFlags, figures }
  await writeFile(options.json, `${JSON.stringify(result, undefined, 2)}\n`)
}
