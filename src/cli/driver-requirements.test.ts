import { Command } from 'commander'
import { expect, test } from 'vitest'
import { addDriverOptions, type DriverFlags } from './driver-flags.ts'
import { type CheckedFlags, checkFlags } from './driver-requirements.ts'

function check(...args: readonly string[]): CheckedFlags {
  const command = addDriverOptions(new Command('driver').action(() => {}))
  command.parse(args, { from: 'user' })
  return checkFlags(command.opts<DriverFlags>())
}

const enough = ['--node-id=worker-1', '--endpoint=unix:///plugin/csi.sock'] as const

test('a node and an endpoint are enough', () => {
  expect(check(...enough)).toMatchObject({
    nodeId: 'worker-1',
    endpoint: '/plugin/csi.sock',
    dataRoot: '/csi-data-dir',
  })
})

test('a relative data root is taken from /, as a working directory of / makes it for the Go driver', () => {
  expect(check(...enough, '--data-root=csi-data-dir').dataRoot).toBe('/csi-data-dir')
  expect(check(...enough, '--data-root=./a/../b').dataRoot).toBe('/b')
})

test('everything that is missing is told at once, with where else it may come from', () => {
  expect(() => check('--pod-readiness-gate=pod-ip:any')).toThrow(
    [
      '--node-id is missing: the name of this node (or $NODE_NAME)',
      '--endpoint is missing: the socket to serve CSI on (or $CSI_ENDPOINT)',
      '--pod-readiness-gate needs --continue-on-not-ready: gates open after a pod has started',
    ].join('\n'),
  )
})

// Each socket has a name that the driver gives it, and a server's is made under a hidden name first.
test.each([
  ['--endpoint', 102, ''],
  ['--data-root', 107, '/control.sock'],
  ['--registration-dir', 102, '/csi.cert-manager.io-reg.sock'],
])('%s may be as long as its socket can be, and no longer', (flag, longest, name) => {
  const path = (length: number): string => `/${'x'.repeat(length - 1 - name.length)}`
  const others = flag === '--endpoint' ? ['--node-id=worker-1'] : enough
  expect(() => check(...others, `${flag}=${path(longest)}`)).not.toThrow()
  const tooLong = path(longest + 1)
  expect(() => check(...others, `${flag}=${tooLong}`)).toThrow(
    `${flag}: socket path ${tooLong}${name} has ${longest + 1} bytes, and Linux allows ${longest} here`,
  )
})
