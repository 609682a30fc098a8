import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

// Runs the cluster tests: `node test/cluster/run.ts [vitest's arguments]`. All of them run in two halves at once, each with a cluster of its
// own, because they mostly wait: for leases to end, for a kubelet's next round, for a certificate's last minute. Tests that are chosen by
// name run as they are.

/** More would have their clusters in each other's way on two cores. */
const halves = 2

const args = process.argv.slice(2)
const config = join(import.meta.dirname, 'vitest.config.ts')
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs')

/** Runs vitest. @returns its exit code */
async function run(own: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, [vitest, 'run', '--config', config, ...own], { stdio: 'inherit' })
  const [code] = (await once(child, 'exit')) as [number | null]
  return code ?? 1
}

/** Vitest's arguments for one of the halves; what is written to a file is written to `name.1.json` and `name.2.json`. */
function argsOfHalf(half: number): string[] {
  const named = args.map((arg) => (arg.startsWith('--outputFile') ? arg.replace(/(\.\w+)?$/, `.${half}$1`) : arg))
  return [`--shard=${half}/${halves}`, ...named]
}

const isWhole = args.every((arg) => arg.startsWith('-'))
const runs = isWhole ? Array.from({ length: halves }, (_, index) => run(argsOfHalf(index + 1))) : [run(args)]
process.exitCode = Math.max(...(await Promise.all(runs)))
