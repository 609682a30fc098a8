import { expect, test } from 'vitest'
import type { CsiDriver } from '../kubernetes/object.ts'
import { csiDriverObstacle } from './csi-driver-guard.ts'

const name = 'csi.cert-manager.io'

function objectWith(spec: CsiDriver['spec']): CsiDriver {
  return { metadata: { name }, spec }
}

const right: CsiDriver['spec'] = {
  attachRequired: false,
  podInfoOnMount: true,
  volumeLifecycleModes: ['Ephemeral'],
  fsGroupPolicy: 'File',
}

test.each([
  ['the documented object', right],
  ['an object that serves persistent volumes too', { ...right, volumeLifecycleModes: ['Persistent', 'Ephemeral'] }],
])('%s is right', (_what, spec) => {
  expect(csiDriverObstacle(name, objectWith(spec), false)).toBeUndefined()
})

test('without an object no volume is served', () => {
  expect(csiDriverObstacle(name, undefined, false)).toMatch(
    /^there is no CSIDriver object csi\.cert-manager\.io; create it/,
  )
})

const modes = 'volumeLifecycleModes: [Ephemeral] (delete and create it anew)'

test.each([
  [{ ...right, podInfoOnMount: false }, 'podInfoOnMount: true'],
  [{ volumeLifecycleModes: ['Ephemeral'] }, 'podInfoOnMount: true'],
  [{ ...right, volumeLifecycleModes: ['Persistent'] }, modes],
  [{ ...right, volumeLifecycleModes: [] }, modes],
  // The API server's default is Persistent.
  [{ podInfoOnMount: true }, modes],
  [{}, `podInfoOnMount: true and ${modes}`],
])('an object with %j must be changed: %s', (spec, changes) => {
  expect(csiDriverObstacle(name, objectWith(spec), false)).toBe(`the CSIDriver object ${name} must have ${changes}`)
})

test('tokens of pods must be asked for, and sent again, where requests are made with them', () => {
  const complete = { ...right, tokenRequests: [{ audience: '' }], requiresRepublish: true }
  expect(csiDriverObstacle(name, objectWith(complete), true)).toBeUndefined()
  expect(csiDriverObstacle(name, objectWith({ ...complete, tokenRequests: [{ audience: 'vault' }] }), true)).toBe(
    `the CSIDriver object ${name} must have tokenRequests: [{audience: ""}]`,
  )
  expect(csiDriverObstacle(name, objectWith(right), true)).toBe(
    `the CSIDriver object ${name} must have tokenRequests: [{audience: ""}] and requiresRepublish: true`,
  )
})
