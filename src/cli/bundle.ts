import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { Script } from 'node:vm'

/** A CommonJS bundle that was loaded. */
export interface Bundle {
  /** What its entry point exports. */
  readonly exports: unknown
  /** What V8 made of it; after the load it holds the code of every function that has run. */
  readonly script: Script
}

/** Where the code cache of a bundle lies. */
export function codeCacheOf(path: string): string {
  return path.replace(/\.cjs$/, '.cache')
}

/**
 * Loads a bundle as `require` would, but without compiling it where the build has left V8's code cache beside it. To compile the driver
 * takes longer than all else that a start does (docs/adr/0006-speed.md).
 *
 * V8 refuses a cache of another version, of other flags or of another source, and then compiles as ever.
 */
export function loadBundle(path: string): Bundle {
  const source = readFileSync(path, 'utf8')
  const cache = codeCacheOf(path)
  const cachedData = existsSync(cache) ? readFileSync(cache) : undefined
  const parameters = ['exports', 'require', 'module', '__filename', '__dirname']
  // In a line of its own, so that the lines of a stack trace are those of the file.
  const script = new Script(`(function (${parameters.join(', ')}) {\n${source}\n})`, {
    filename: path,
    lineOffset: -1,
    ...(cachedData === undefined ? {} : { cachedData }),
  })
  const module = { exports: {} }
  const evaluate = script.runInThisContext() as (...args: readonly unknown[]) => void
  evaluate(module.exports, createRequire(path), module, path, dirname(path))
  return { exports: module.exports, script }
}
