import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { loadBundle } from './bundle.ts'
import type * as driverMain from './driver-main.ts'
import { withRole } from './program-role.ts'

/** What `podpass` starts: it becomes the bundle of the role, in a Node that is new enough. */

/** The oldest Node that the bundles run on. */
const oldestMajor = 26

function launch(): void {
  if (Number(process.versions.node.split('.')[0]) < oldestMajor) {
    startAnew()
    return
  }
  const args = process.argv.slice(2)
  if (withRole(args)[0] === 'driver') {
    const { run } = loadBundle(join(__dirname, 'driver.cjs')).exports as typeof driverMain
    void run(args)
  } else {
    loadBundle(join(__dirname, 'main.cjs'))
  }
}

/** Starts this program again in the Node that was installed with the package. */
function startAnew(): void {
  const node = findNode()
  if (node === undefined) {
    process.stderr.write(`podpass: needs Node ${oldestMajor} or newer, and this is ${process.version}\n`)
    process.exitCode = 1
    return
  }
  const command = [__filename, ...process.argv.slice(2)]
  // The process becomes the other: same id, same signals, no parent left in memory.
  if (typeof process.execve === 'function') process.execve(node, [node, ...command], process.env)
  const child = spawn(node, command, { stdio: 'inherit' })
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => {
    process.exitCode = signal === null ? (code ?? 1) : 1
  })
}

/** @returns undefined where there is none */
function findNode(): string | undefined {
  try {
    return createRequire(__filename).resolve(`node-linux-${process.arch}/bin/node`)
  } catch {
    return undefined
  }
}

launch()
