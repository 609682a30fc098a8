// The project's own benchmark: npm run bench -- --help
import { Ground } from './ground.ts'
import { helpText, parseOptions } from './options.ts'
import type { Row } from './row.ts'
import { idle } from './rows/idle.ts'
import { manyVolumesP256, manyVolumesRsa } from './rows/many-volumes.ts'
import { memoryOverRounds } from './rows/memory.ts'
import { oneVolumeP256, oneVolumeRsa, oneVolumeRsaEmpty } from './rows/one-volume.ts'
import { podsOnNode } from './rows/pods.ts'
import { restart } from './rows/restart.ts'
import { soak } from './rows/soak.ts'
import { runRows } from './run-rows.ts'

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

process.exitCode = await runRows(
  {
    parse: (args) => parseOptions(args, rows),
    help: () => helpText(rows),
    start: (options) => Ground.start(options),
    describe: ({ driverFlags }) => ({ driverFlags }),
  },
  process.argv.slice(2),
)
