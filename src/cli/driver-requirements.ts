import { join } from 'node:path'
import { controlSocket } from '../driver/control.ts'
import { registrationSocket } from '../driver/registration.ts'
import { socketPathProblem } from '../runtime/socket-path.ts'
import { spareOfServer } from '../runtime/unix-server.ts'
import type { DriverFlags } from './driver-flags.ts'
import { UsageError } from './usage-error.ts'

/** Flags of a driver that can be started. */
export interface CheckedFlags extends DriverFlags {
  readonly nodeId: string
  readonly endpoint: string
}

/**
 * Looks at what a driver cannot do without, and at what does not fit together. Flags may come from the command line, the environment
 * and the configuration file, so not earlier.
 *
 * @returns with a data root that is absolute
 * @throws {UsageError} with everything that is wrong, naming flag, value and what is allowed
 */
export function checkFlags(flags: DriverFlags): CheckedFlags {
  const { nodeId = '', endpoint = '', driverName, registrationDir, podReadinessGate, continueOnNotReady } = flags
  const dataRoot = flags.dataRoot.startsWith('/') ? flags.dataRoot : join('/', flags.dataRoot)
  const problems: string[] = []
  if (nodeId === '') problems.push('--node-id is missing: the name of this node (or $NODE_NAME)')
  if (endpoint === '') problems.push('--endpoint is missing: the socket to serve CSI on (or $CSI_ENDPOINT)')
  if (podReadinessGate.length > 0 && !continueOnNotReady) {
    problems.push('--pod-readiness-gate needs --continue-on-not-ready: gates open after a pod has started')
  }
  const sockets = [
    ['--endpoint', socketPathProblem(endpoint, spareOfServer)],
    ['--data-root', socketPathProblem(controlSocket(dataRoot))],
    [
      '--registration-dir',
      registrationDir && socketPathProblem(registrationSocket(registrationDir, driverName), spareOfServer),
    ],
  ] as const
  for (const [flag, problem] of sockets) if (problem !== undefined) problems.push(`${flag}: ${problem}`)
  if (problems.length > 0) throw new UsageError(problems.join('\n'))
  return { ...flags, nodeId, endpoint, dataRoot }
}
