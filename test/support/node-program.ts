import { join } from 'node:path'
import { mountObstacle } from '../../src/driver/data-root.ts'
import { startDriver } from '../../src/driver/driver.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { loadLibc } from '../../src/runtime/libc.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { mountCommands, SystemMounter, systemCalls } from '../../src/volume/system-mounter.ts'
import { optionsIn } from './driver-options.ts'
import { ScriptedIssuer } from './scripted-issuer.ts'

// A driver with real mounts as a process of its own, because a mount namespace belongs to a process: `node node-program.ts <folder>`,
// with an IPC channel. It ends with that channel.

/** What the program tells. */
export type NodeMessage =
  | { readonly is: 'waiting' }
  | {
      readonly is: 'ready'
      /** What is wrong with the mounts that its folders lie in, for people. */
      readonly obstacle: string | undefined
    }

const [folder] = process.argv.slice(2)
if (folder === undefined) throw new TypeError('expected <folder>')

const tell = (message: NodeMessage): void => void process.send?.(message)
const issuer = new ScriptedIssuer({ clock: systemClock })
const libc = loadLibc()
const options = optionsIn(folder)
const driver = await startDriver(
  {
    ...options,
    volumeSize: 256 * 1024,
    issuerFor: () => issuer,
    mounter: new SystemMounter(libc === undefined ? mountCommands() : systemCalls(libc)),
    libc,
    log: {
      ...silentLog,
      info: (_fields, message) => {
        if (message.startsWith('another driver holds the data root')) tell({ is: 'waiting' })
      },
    },
  },
  new AbortController().signal,
)
process.once('disconnect', () => process.exit())
process.once('SIGTERM', () => {
  void driver.close().then(() => process.exit())
})
tell({ is: 'ready', obstacle: await mountObstacle(options.dataRoot, join(folder, 'pods')) })
