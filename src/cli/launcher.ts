import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { withRole } from './program-role.ts'

/**
 * What `podpass` starts first: it hands over to the bundle of the role, in a Node with the flags that the role wants. With these
 * V8 flags a driver under load takes a fraction of the memory; most of them are not allowed in NODE_OPTIONS.
 */
const memoryFlags = ['--no-opt', '--no-maglev', '--max-semi-space-size=1', '--optimize-for-size']

/** The oldest Node that the bundles run on. */
const oldestMajor = 26

/**
 * The Node to run: this one, or where it is too old the one that was installed with the package.
 *
 * @returns undefined where there is none
 */
function findNode(): string | undefined {
  if (Number(process.versions.node.split('.')[0]) >= oldestMajor) return process.execPath
  try {
    return createRequire(__filename).resolve(`node-linux-${process.arch}/bin/node`)
  } catch {
    return undefined
  }
}

function handOver(): void {
  const node = findNode()
  if (node === undefined) {
    process.stderr.write(`podpass: needs Node ${oldestMajor} or newer, and this is ${process.version}\n`)
    process.exitCode = 1
    return
  }
  const args = withRole(process.argv.slice(2))
  const isDriver = args[0] === 'driver'
  const bundle = join(__dirname, isDriver ? 'driver.cjs' : 'main.cjs')
  const command = [...(isDriver ? memoryFlags : []), bundle, ...args]
  // The process becomes the role: same id, same signals, no parent left in memory.
  if (typeof process.execve === 'function') process.execve(node, [node, ...command], process.env)
  const child = spawn(node, command, { stdio: 'inherit' })
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => {
    process.exitCode = signal === null ? (code ?? 1) : 1
  })
}

handOver()
