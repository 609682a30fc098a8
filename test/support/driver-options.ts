import { join } from 'node:path'
import { type DriverOptions, driverDefaults } from '../../src/driver/driver.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { privateDirectory } from '../../src/volume/private-directory.ts'
import { standardDefaults } from '../../src/volume/spec.ts'

/** A driver that keeps all that it has in a folder, without mounts and without an API server. */
export function optionsIn(folder: string): Omit<DriverOptions, 'issuerFor'> {
  return {
    ...driverDefaults,
    nodeId: 'node-1',
    version: '0.0.0',
    endpoint: join(folder, 'csi.sock'),
    dataRoot: join(folder, 'data'),
    registrationDirectory: undefined,
    defaults: standardDefaults,
    keyPool: 0,
    strictIssuer: false,
    requireNoswap: false,
    mounter: privateDirectory,
    events: { record: () => {} },
    obstacle: () => undefined,
    tokensInSecrets: () => false,
    libc: undefined,
    clock: systemClock,
    log: silentLog,
  }
}
