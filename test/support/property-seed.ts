import { randomInt } from 'node:crypto'
import { configureGlobal } from 'fast-check'

// Property tests try the same cases in every run, so that a change is judged by what it changes. `PROPERTY_SEED=random` tries others, and
// a number the same again; a failure prints its seed.

const wanted = process.env['PROPERTY_SEED'] ?? '20261122'
const seed = wanted === 'random' ? randomInt(2 ** 31) : Number(wanted)
if (!Number.isSafeInteger(seed))
  throw new Error(`PROPERTY_SEED is ${JSON.stringify(wanted)}, must be a whole number or "random"`)
configureGlobal({ seed })
