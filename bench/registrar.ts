// How fast pods get their entries: npm run bench:registrar -- --help
import { RegistrarGround } from './registrar-ground.ts'
import { parseRegistrarOptions, registrarHelp } from './registrar-options.ts'
import { burst, burstLarge, spaced, spacedLarge } from './registrar-rows/arrivals.ts'
import { firstSync } from './registrar-rows/first-sync.ts'
import { former } from './registrar-rows/former.ts'
import { registrarIdle } from './registrar-rows/idle.ts'
import { registrarMemory } from './registrar-rows/memory.ts'
import type { Row } from './row.ts'
import { runRows } from './run-rows.ts'

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

process.exitCode = await runRows(
  {
    parse: (args) => parseRegistrarOptions(args, rows),
    help: () => registrarHelp(rows),
    start: (options) => RegistrarGround.start(options),
    describe: ({ nodeFlags }) => ({ nodeFlags }),
  },
  process.argv.slice(2),
)
