import { describe, expect, test } from 'vitest'
import { identityRules } from '../../src/registrar/desired/identity-rules.ts'
import { parseRegistrarConfig } from '../../src/registrar/config/read-config.ts'
import { parseKey, podKey } from '../../src/registrar/live/object-keys.ts'
import type { AdmissionRequest } from '../../src/registrar/webhook/admission-review.ts'
import { podAdmission } from '../../src/registrar/webhook/pod-admission.ts'
import { PodRegistrations } from '../../src/registrar/webhook/pod-registrations.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { configText, RegistrarCluster } from '../support/registrar-cluster.ts'

// What the registrar promises to those who wait for it (docs/promises.md, registrar 6 and 7).

const hcl = 'mode = "reconcile"\nleader_election = true'

/** What the API server asks when the pod shop/web is created. */
const creation: AdmissionRequest = {
  uid: 'review',
  kind: { group: '', version: 'v1', kind: 'Pod' },
  namespace: 'shop',
  name: 'web',
  operation: 'CREATE',
  subResource: '',
  dryRun: false,
  object: { metadata: { namespace: 'shop', name: 'web', uid: 'uid-of-web' }, spec: { serviceAccountName: 'web' } },
  oldObject: undefined,
}

/** A registrar in webhook mode and its handler of reviews, as they are wired, without TLS between them. */
async function webhook(cluster: RegistrarCluster) {
  const webhookMode = 'mode = "webhook"'
  const rules = identityRules(parseRegistrarConfig(configText(webhookMode)).config)
  const registrations = new PodRegistrations({
    rules: () => rules,
    onChange: (namespace, name) => live.mark(podKey(namespace, name)),
    clock: cluster.clock,
  })
  const live = await cluster.run(webhookMode, {
    expected: (namespace, name) => registrations.expected(namespace, name),
    onSeen: (pod) => registrations.seen(pod),
    onOutcome: (key, outcome) => {
      const object = parseKey(key)
      if (object.kind === 'pod') registrations.settled(object.namespace, object.name, outcome)
    },
  })
  registrations.isLeading = true
  return podAdmission({
    disabledNamespaces: [],
    failClosed: false,
    budget: 2000,
    register: (pod, signal) => registrations.register(pod, signal),
    clock: cluster.clock,
    log: silentLog,
  })
}

describe('promise 6, admission never waits for it unasked', () => {
  test('in webhook mode the entry is there before the pod is', async () => {
    await using cluster = new RegistrarCluster()
    const admit = await webhook(cluster)
    const answer = admit(creation, new AbortController().signal)
    await cluster.pass(500)
    expect(await answer).toEqual({ allowed: true })
    expect(cluster.ofPod('web')).toHaveLength(1)
  })

  test('while SPIRE does not answer, the pod is allowed within the budget with a warning, and has its entry later', async () => {
    await using cluster = new RegistrarCluster()
    const admit = await webhook(cluster)
    const { promise, resolve } = Promise.withResolvers<undefined>()
    cluster.fault = () => promise
    const answer = admit(creation, new AbortController().signal)
    await cluster.pass(2000)
    expect(await answer).toMatchObject({ allowed: true, warnings: [expect.stringContaining('did not answer')] })
    cluster.fault = () => Promise.resolve(undefined)
    resolve(undefined)
    cluster.pod('web')
    await cluster.pass(1000)
    expect(cluster.ofPod('web')).toHaveLength(1)
  })
})

describe('promise 7, one leads, the others are warm, and people are told', () => {
  test('a standby lists nothing again when it takes over, and nothing that happened meanwhile is lost', async () => {
    await using cluster = new RegistrarCluster()
    const watches: string[] = []
    cluster.api.onWatch = (plural) => void watches.push(plural)
    const [first, second] = [cluster.open(hcl), cluster.open(hcl)]
    const stop = cluster.lead(first)
    cluster.pod('before')
    cluster.pod('going')
    await cluster.pass(1000)
    await stop()
    cluster.pod('between')
    cluster.removePod('going')
    await cluster.pass(1000)
    const [before, opened] = [cluster.store.all(), watches.length]
    expect(before).toHaveLength(2)
    cluster.lead(second)
    await cluster.pass(1000)
    expect(watches.length).toBe(opened)
    expect(cluster.ofPod('before')).toEqual(before.filter(({ id }) => id === cluster.ofPod('before')[0]?.id))
    expect(cluster.ofPod('between')).toHaveLength(1)
    expect(cluster.ofPod('going')).toEqual([])
  })

  test('whoever has lost the lead writes nothing any more', async () => {
    await using cluster = new RegistrarCluster()
    const stop = cluster.lead(cluster.open(hcl))
    await cluster.pass(500)
    await stop()
    cluster.pod('web')
    await cluster.pass(20_000)
    expect(cluster.writes).toEqual([])
  })

  test('the time to each identity is measured, and a pod that SPIRE refuses is told', async () => {
    await using cluster = new RegistrarCluster()
    await cluster.run(hcl)
    cluster.pod('web')
    await cluster.pass(500)
    const text = await cluster.metrics.metrics()
    expect(text).toContain('podpass_registrar_identity_seconds_count{phase="total"} 1')
    cluster.fault = () => Promise.resolve({ poison: new Set([0]) })
    cluster.pod('api')
    await cluster.pass(500)
    expect(cluster.events).toMatchObject([{ about: { kind: 'Pod', name: 'api' }, text: { reason: 'IdentityRefused' } }])
  })
})
