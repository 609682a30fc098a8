import { expect, test } from 'vitest'
import { ManualClock } from '../../../test/support/manual-clock.ts'
import type { Pod } from '../../kubernetes/object.ts'
import type { Entry } from '../../spire/entry.ts'
import { identityRules } from '../desired/identity-rules.ts'
import { podEntry } from '../desired/pod-entry.ts'
import { keptKeys, observePod } from '../observe.ts'
import { webhookConfig } from './fixtures/webhook-config.ts'
import { PodRegistrations } from './pod-registrations.ts'

const rules = identityRules(webhookConfig())
const never = new AbortController().signal
const pod = (uid = 'u1', serviceAccountName = 'web'): Pod => ({
  metadata: { namespace: 'shop', name: 'web-0', uid, creationTimestamp: '2026-11-22T10:00:00Z' },
  spec: { serviceAccountName },
})

function registrations(own = rules) {
  const clock = new ManualClock()
  const changes: string[] = []
  const all = new PodRegistrations({
    rules: () => own,
    onChange: (namespace, name) => changes.push(`${namespace}/${name}`),
    clock,
  })
  all.isLeading = true
  return { clock, changes, all }
}

function entryOf(of: Pod): Entry {
  const rendering = podEntry(rules, observePod(of, keptKeys(rules)), { addresses: [], bundles: undefined })
  if (rendering.is !== 'entry') throw new Error('the pod has no entry')
  return { ...rendering.spec, id: 'e1', revision: 0n, admin: false }
}

const registered = (of: Pod) => ({ is: 'registered', entry: entryOf(of), change: 'created', notices: [] }) as const

test('a pod is registered once its entry is there', async () => {
  const { all, changes } = registrations()
  const registration = all.register(pod(), never)
  expect(changes).toEqual(['shop/web-0'])
  expect(all.expected('shop', 'web-0')?.uid).toBe('u1')
  all.settled('shop', 'web-0', registered(pod()))
  expect(await registration).toEqual({ is: 'registered' })
})

test('the entry of the pod that had the name before is not taken for it', async () => {
  const { all } = registrations()
  const registration = all.register(pod('u2', 'other'), never)
  all.settled('shop', 'web-0', registered(pod()))
  all.settled('shop', 'web-0', { is: 'unregistered', reason: 'it is gone' })
  all.settled('shop', 'web-0', { is: 'failed', status: 13, message: 'disk full', entry: undefined })
  expect(await registration).toEqual({ is: 'problem', problem: 'disk full' })
})

test('an entry that federates with less than was asked for is good enough', async () => {
  const { all } = registrations()
  const asked = pod()
  const federated: Pod = {
    ...asked,
    metadata: { ...asked.metadata, annotations: { 'spiffe.io/federatesWith': 'a.org' } },
  }
  const registration = all.register(federated, never)
  all.settled('shop', 'web-0', registered(asked))
  expect(await registration).toEqual({ is: 'registered' })
})

test('a wait ends with its signal, and the pod stays expected', async () => {
  const { all } = registrations()
  const late = new AbortController()
  const registration = all.register(pod(), late.signal)
  late.abort(new Error('too late'))
  await expect(registration).rejects.toThrow('too late')
  expect(all.expected('shop', 'web-0')?.uid).toBe('u1')
})

test('a pod that does not come within a minute is looked at again, and no longer expected', async () => {
  const { all, clock, changes } = registrations()
  const registration = all.register(pod(), never)
  all.settled('shop', 'web-0', registered(pod()))
  await registration
  clock.advance(60_000)
  expect(changes).toEqual(['shop/web-0', 'shop/web-0'])
  expect(all.expected('shop', 'web-0')).toBeUndefined()
})

test('a pod that has come is not looked at again', async () => {
  const { all, clock, changes } = registrations()
  const registration = all.register(pod(), never)
  all.settled('shop', 'web-0', registered(pod()))
  await registration
  all.seen(observePod(pod(), keptKeys(rules)))
  clock.advance(60_000)
  expect(changes).toEqual(['shop/web-0'])
})

test('nothing is done by a replica that does not lead, nor where the parent is the node, nor for a pod without an identity', async () => {
  const standby = registrations()
  standby.all.isLeading = false
  expect(await standby.all.register(pod(), never)).toEqual({ is: 'none' })
  const nodes = registrations(identityRules(webhookConfig({ nodeParents: true })))
  expect(await nodes.all.register(pod(), never)).toEqual({ is: 'none' })
  const labelled = registrations(identityRules(webhookConfig({ identity: { by: 'label', key: 'id' } })))
  expect(await labelled.all.register(pod(), never)).toEqual({ is: 'none' })
  for (const { changes } of [standby, nodes, labelled]) expect(changes).toEqual([])
})

test('what keeps a pod from an identity is told', async () => {
  const { all } = registrations(identityRules(webhookConfig({ identity: { by: 'annotation', key: 'id' } })))
  const asked = pod()
  const odd: Pod = { ...asked, metadata: { ...asked.metadata, annotations: { id: 'a b' } } }
  expect(await all.register(odd, never)).toMatchObject({ is: 'problem' })
})
