import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { OwnerReference } from '../kubernetes/object.ts'
import { createCertificateRequest } from '../x509/certificate-request.ts'
import { noNames } from '../x509/general-names.ts'
import { generateKeySync } from '../x509/key.ts'
import { buildSubject } from '../x509/name.ts'
import { csrOf, managedRequest, podRequest, signingRequest, someKey } from './fixtures/requests.ts'
import { ask, byDriver, forTheVolume, now, policyOf, webPod, worldWith, driverPod } from './fixtures/world.ts'
import { KeyLedger } from './key-ledger.ts'
import { liveObjectsOf } from './live-objects.ts'

const signerNames = ['example.com/serving']
const services = {
  requests: { signerNames },
  names: {
    allowed: {
      dnsNames: ['*.${namespace}.svc', '*.${namespace}.svc.${cluster.domain}', '*.*.${namespace}.svc'],
      ipAddresses: ['0.0.0.0/0', '::/0'],
    },
  },
}

describe('with binding pod, names are those of the pod', () => {
  test.each([
    [{ dns: ['web.shop.svc', 'WEB.shop.svc.cluster.local', 'peers.shop.svc'] }, 'approve'],
    [{ dns: ['web-0.peers.shop.svc'] }, 'approve'],
    [{ ip: ['10.96.0.7', 'fd00::7'] }, 'approve'],
    // Live objects may come to give these: they wait.
    [{ dns: ['other.shop.svc'] }, 'wait'],
    [{ dns: ['all.shop.svc'] }, 'wait'],
    [{ dns: ['away.shop.svc'] }, 'wait'],
    [{ dns: ['web.shop.svc', 'other.shop.svc'] }, 'wait'],
    [{ dns: ['web-0.web.shop.svc'] }, 'wait'],
    [{ ip: ['10.96.0.8'] }, 'wait'],
    [{ ip: ['10.1.2.3'] }, 'wait'],
    // No policy will ever allow these: they are denied.
    [{ dns: ['web.bank.svc'] }, 'deny'],
    [{ dns: ['web'] }, 'deny'],
    [{ uri: ['spiffe://td/ns/shop/sa/web'] }, 'deny'],
    [{ email: ['web@example.com'] }, 'deny'],
  ])('%j: %s', async (names, is) => {
    const decision = ask(signingRequest({ names }), [await policyOf(services)])
    expect(decision).toMatchObject({ is, policy: is === 'approve' ? 'web' : undefined })
  })

  test('bare names and pod addresses need a word', async () => {
    const policy = await policyOf({
      ...services,
      names: {
        allowed: { dnsNames: ['*', '*.${namespace}'], ipAddresses: ['10.0.0.0/8'] },
        allowBareNames: true,
        allowPodIPs: true,
      },
    })
    expect(ask(signingRequest({ names: { dns: ['web', 'web.shop'], ip: ['10.1.2.3'] } }), [policy]).is).toBe('approve')
    const onHost = { ...webPod, spec: { ...webPod.spec, hostNetwork: true } }
    expect(ask(signingRequest({ names: { ip: ['10.1.2.3'] } }), [policy], worldWith(onHost)).is).toBe('wait')
  })

  test('a pod that left the headless Service loses the name below it', async () => {
    const pod = { ...webPod, spec: { ...webPod.spec, subdomain: 'web' } }
    const request = signingRequest({ names: { dns: ['web-0.peers.shop.svc'] } })
    expect(ask(request, [await policyOf(services)], worldWith(pod)).is).toBe('wait')
  })
})

const spiffe = {
  requests: { signerNames },
  names: {
    allowed: {
      uris: ['spiffe://td/ns/${namespace}/sa/${serviceAccount.name}'],
      commonNames: ['${namespace}.${pod.name}'],
    },
  },
}

test('identities by template are the subject’s own and nobody else’s', async () => {
  const policy = await policyOf(spiffe)
  const names = (uri: string) =>
    signingRequest({ names: { uri: [uri] }, subject: buildSubject({ commonName: 'shop.web-0' }) })
  expect(ask(names('spiffe://td/ns/shop/sa/web'), [policy]).is).toBe('approve')
  expect(ask(names('spiffe://td/ns/shop/sa/admin'), [policy])).toMatchObject({ is: 'deny', reason: 'PolicyForbids' })
})

test('a requester that is no pod is refused what is for pods, and may have what is for service accounts', async () => {
  const request = signingRequest({ names: { uri: ['spiffe://td/ns/shop/sa/web'] } }, { extra: {} })
  expect(ask(request, [await policyOf(spiffe)])).toMatchObject({ is: 'deny' })
  expect(
    ask(request, [
      await policyOf({
        ...spiffe,
        binding: 'serviceAccount',
        names: { allowed: { uris: ['spiffe://td/ns/${namespace}/sa/${serviceAccount.name}'] } },
      }),
    ]).is,
  ).toBe('approve')
})

describe('a pod that is not the one that is meant, or has ended, waits', () => {
  test.each([
    ['pod.uid', { metadata: { ...webPod.metadata, uid: 'another' } }],
    ['pod.serviceAccount', { spec: { ...webPod.spec, serviceAccountName: 'admin' } }],
    ['pod.node', { spec: { ...webPod.spec, nodeName: 'worker-2' } }],
    ['pod.mirror', { metadata: { ...webPod.metadata, annotations: { 'kubernetes.io/config.mirror': 'x' } } }],
    ['pod.terminating', { metadata: { ...webPod.metadata, deletionTimestamp: '2026-11-22T10:00:00Z' } }],
    ['pod.finished', { status: { phase: 'Succeeded' } }],
  ])('%s', async (rule, change) => {
    const decision = ask(
      signingRequest({ names: { uri: ['spiffe://td/ns/shop/sa/web'] } }),
      [await policyOf(spiffe)],
      worldWith({ ...webPod, ...change }),
    )
    expect(decision.is).toBe('wait')
    expect(decision.policies[0]?.rules).toContainEqual(
      expect.objectContaining({ rule, result: 'failed', nature: 'extrinsic' }),
    )
  })
})

describe('a driver', () => {
  const names = { dns: ['web.shop.svc'] }
  const request = (spec = {}, annotations: Readonly<Record<string, string>> = forTheVolume, asked = { names }) =>
    signingRequest(asked, { ...byDriver, ...spec }, annotations)

  test('may ask for a pod on its node, for what its volume says', async () => {
    expect(ask(request(), [await policyOf(services)])).toMatchObject({ is: 'approve', owner: 'pod/pod-web-0' })
  })

  test.each<[string, Parameters<typeof request>, string]>([
    ['names no volume', [{}, {}], 'requester.driver'],
    [
      'names the volume of a pod that is not there',
      [{}, { ...forTheVolume, 'podpass.io/volume': 'csi-0' }],
      'requester.driver',
    ],
    [
      'asks for a name that the volume does not',
      [{}, forTheVolume, { names: { dns: ['peers.shop.svc'] } }],
      'volume.attributes',
    ],
    ['asks another signer than the volume', [{ signerName: 'example.com/other' }], 'volume.attributes'],
  ])('that %s waits', async (_what, parameters, rule) => {
    const policy = await policyOf({ ...services, requests: { signerNames: ['example.com/*'] } })
    const decision = ask(request(...parameters), [policy])
    expect(decision.is).toBe('wait')
    expect(decision.policies[0]?.rules).toContainEqual(expect.objectContaining({ rule, result: 'failed' }))
  })

  test('of another node gets nothing for the pod', async () => {
    const extra = { ...byDriver.extra, 'authentication.kubernetes.io/node-name': ['worker-2'] }
    const moved = { ...driverPod, spec: { ...driverPod.spec, nodeName: 'worker-2' } }
    expect(ask(request({ extra }), [await policyOf(services)], worldWith(moved)).is).toBe('wait')
  })

  test.each<[string, object]>([
    ['is a pod of nobody', {}],
    ['is a pod of something else', { apiVersion: 'apps/v1', kind: 'ReplicaSet', controller: true }],
    ['is a pod that a DaemonSet does not control', { apiVersion: 'apps/v1', kind: 'DaemonSet' }],
    ['is a pod of another kind of that name', { apiVersion: 'example.com/v1', kind: 'DaemonSet', controller: true }],
  ])('that %s gets nothing, and is not denied', async (_what, owner) => {
    const ownerReferences = [{ name: 'driver', uid: 'ds-driver', ...owner } as OwnerReference]
    const other = { ...driverPod, metadata: { ...driverPod.metadata, ownerReferences } }
    const decision = ask(request(), [await policyOf(services)], worldWith(other))
    expect(decision).toMatchObject({ is: 'wait', message: expect.stringContaining('no pod of a DaemonSet') as string })
  })

  test('whose own pod is gone gets nothing', async () => {
    const gone = { ...driverPod, metadata: { ...driverPod.metadata, uid: 'another' } }
    expect(ask(request(), [await policyOf(services)], worldWith(gone)).is).toBe('wait')
  })

  test('without a bound token is denied, and nobody else may ask as it does', async () => {
    expect(ask(request({ extra: {} }), [await policyOf(services)]).is).toBe('deny')
    const stranger = request({ username: 'system:serviceaccount:podpass:other' })
    expect(ask(stranger, [await policyOf(services)]).is).not.toBe('approve')
  })

  test('waits for a pod whose namespace decides, until it is seen', async () => {
    const policy = await policyOf({ ...services, requests: { signerNames, namespaces: { names: ['shop'] } } })
    expect(ask(request(), [policy], { live: liveObjectsOf([driverPod]) })).toMatchObject({ is: 'wait' })
  })
})

describe('binding none', () => {
  const spec = {
    requests: { signerNames },
    binding: 'none',
    subjects: { groups: ['ops'] },
    names: { allowed: { dnsNames: ['*.example.com'] } },
  }
  const request = (groups: readonly string[], dns: string) =>
    signingRequest({ names: { dns: [dns] } }, { username: 'anna', groups, extra: {} })

  test('lets the named subjects, and nobody else, have what the policy allows', async () => {
    expect(ask(request(['ops'], 'www.example.com'), [await policyOf(spec)]).is).toBe('approve')
    expect(ask(request(['ops'], 'a.b.example.com'), [await policyOf(spec)]).is).toBe('deny')
    expect(ask(request(['dev'], 'www.example.com'), [await policyOf(spec)]).is).toBe('leave alone')
  })

  test('gives wildcard names only where the policy says so', async () => {
    expect(ask(request(['ops'], '*.example.com'), [await policyOf(spec)]).is).toBe('deny')
    const policy = await policyOf({ ...spec, names: { ...spec.names, allowWildcardNames: true } })
    expect(ask(request(['ops'], '*.example.com'), [policy]).is).toBe('approve')
  })

  test('asks RBAC where the policy leaves it to that', async () => {
    const policy = await policyOf({ ...spec, subjects: { mayUse: true } })
    const asked = request([], 'www.example.com')
    expect(ask(asked, [policy])).toMatchObject({ is: 'wait', reason: 'PolicyUnknown' })
    expect(ask(asked, [policy], { live: liveObjectsOf([], new Set(['web'])) }).is).toBe('approve')
    expect(ask(asked, [policy], { live: { ...liveObjectsOf([]), mayUse: () => false } }).is).toBe('leave alone')
  })
})

describe('binding node', () => {
  const spec = {
    requests: { signerNames: ['kubernetes.io/kubelet-serving'] },
    binding: 'node',
    usages: ['digital signature', 'server auth'],
    names: {
      allowed: {
        commonNames: ['system:node:${node.name}'],
        organizations: ['system:nodes'],
        dnsNames: ['*'],
        ipAddresses: ['10.0.0.0/8'],
      },
    },
  }
  const node = {
    kind: 'Node',
    metadata: { name: 'worker-1' },
    status: {
      addresses: [
        { type: 'Hostname', address: 'worker-1' },
        { type: 'InternalIP', address: '10.0.0.5' },
      ],
    },
  }
  const request = (username: string, commonName: string, ip = '10.0.0.5', groups = ['system:nodes']) =>
    signingRequest(
      {
        subject: buildSubject({ commonName, organizations: ['system:nodes'] }),
        names: { dns: ['worker-1'], ip: [ip] },
      },
      { signerName: 'kubernetes.io/kubelet-serving', username, groups, extra: {} },
    )

  test('gives a node its own name and addresses, and no other’s', async () => {
    const policies = [await policyOf(spec)]
    const world = worldWith(node)
    expect(ask(request('system:node:worker-1', 'system:node:worker-1'), policies, world).is).toBe('approve')
    expect(ask(request('system:node:worker-1', 'system:node:worker-1', '10.0.0.6'), policies, world).is).toBe('wait')
    expect(ask(request('system:node:worker-1', 'system:node:worker-2'), policies, world).is).toBe('deny')
    expect(ask(request('system:node:worker-1', 'system:node:worker-1', '10.0.0.5', []), policies, world).is).toBe(
      'deny',
    )
  })

  test('gives nothing to a pod on the node', async () => {
    const { request: csr } = request('x', 'system:node:worker-1').object.spec
    const byPod = signingRequest({}, { request: csr, signerName: 'kubernetes.io/kubelet-serving' })
    expect(ask(byPod, [await policyOf(spec)], worldWith(node)).is).toBe('deny')
  })
})

test.each([
  ['commonName', 'system:admin'],
  ['organizations', 'system:masters'],
])('%s %s is denied whatever a policy allows', async (field, name) => {
  const policy = await policyOf({
    requests: { signerNames },
    binding: 'none',
    subjects: { users: ['anna'] },
    names: { allowed: { commonNames: ['*'], organizations: ['*'] } },
  })
  const subject = buildSubject({ commonName: 'x', [field]: field === 'commonName' ? name : [name] })
  expect(ask(signingRequest({ subject }, { username: 'anna' }), [policy])).toMatchObject({ is: 'deny' })
})

describe('which policies count', () => {
  const request = signingRequest({ names: { dns: ['web.shop.svc'] } })
  const strict = { ...services, names: { allowed: {} } }

  test('a request that no policy is for is left alone, however bad it is', async () => {
    const policy = await policyOf({ ...services, requests: { signerNames: ['example.com/other'] } })
    expect(ask(request, [policy]).is).toBe('leave alone')
    expect(ask(signingRequest({ csr: 'junk' }), [policy]).is).toBe('leave alone')
    expect(ask(managedRequest({ csr: 'junk' }), [policy]).is).toBe('leave alone')
  })

  test('one that passes is enough', async () => {
    expect(ask(request, [await policyOf(strict, 'strict'), await policyOf(services, 'open')])).toMatchObject({
      is: 'approve',
      policy: 'open',
    })
  })

  test('a denial needs every policy to fail for good, to be ready, and to be willing', async () => {
    const policy = await policyOf(strict, 'strict')
    expect(ask(request, [policy])).toMatchObject({ is: 'deny', reason: 'PolicyForbids' })
    expect(ask(request, [policy], { unready: ['new'] })).toMatchObject({ is: 'wait', reason: 'PolicyNotReady' })
    expect(ask(request, [policy, await policyOf({ ...strict, neverDeny: true }, 'mild')])).toMatchObject({
      is: 'wait',
      reason: 'NeverDeny',
    })
    const waiting = await policyOf(
      { ...services, names: { allowed: { dnsNames: ['${pod.labels[tier]}.shop.svc'] } } },
      'waiting',
    )
    expect(ask(request, [policy, waiting]).is).toBe('wait')
  })

  test('labels of namespace and service account decide; while they are not seen, the request waits', async () => {
    const policy = await policyOf({
      ...services,
      requests: {
        signerNames,
        namespaces: { matchLabels: { team: 'shop' } },
        serviceAccounts: { names: ['w*'], matchLabels: { tier: 'front' } },
      },
    })
    expect(ask(request, [policy]).is).toBe('approve')
    const other = { kind: 'Namespace', metadata: { name: 'shop', labels: { team: 'bank' } } }
    expect(ask(request, [policy], worldWith(other)).is).toBe('leave alone')
    expect(ask(request, [policy], { live: liveObjectsOf([webPod]) }).is).toBe('wait')
  })

  test.each(['Approved', 'Denied', 'Failed'])('a request that is %s is left alone', async (type) => {
    const object = { ...request.object, status: { conditions: [{ type, status: 'True' as const }] } }
    expect(ask({ ...request, object }, [await policyOf(services)])).toMatchObject({
      is: 'leave alone',
      reason: 'Closed',
    })
  })

  test('what waits too long is left alone, and never denied', async () => {
    const waiting = signingRequest({ names: { dns: ['other.shop.svc'] } })
    expect(ask(waiting, [await policyOf(services)], { now: now + 3600_000 })).toMatchObject({
      is: 'leave alone',
      reason: 'TooLate',
    })
  })

  test('a CertificateRequest in another namespace than its requester is denied', async () => {
    const policy = await policyOf({
      requests: { issuers: [{ name: 'ca', kind: 'ClusterIssuer' }] },
      names: { allowed: { dnsNames: ['*.*.svc'] } },
    })
    const asked = managedRequest({ names: { dns: ['web.shop.svc'] } })
    expect(ask(asked, [policy]).is).toBe('approve')
    const elsewhere = {
      ...asked,
      object: { ...asked.object, metadata: { ...asked.object.metadata, namespace: 'bank' } },
    }
    expect(ask(elsewhere, [policy]).is).toBe('deny')
  })
})

describe('limits', () => {
  const spec = {
    ...services,
    keys: [
      { algorithm: 'ECDSA', minSize: 384 },
      { algorithm: 'RSA', minSize: 3072 },
    ],
    usages: ['digital signature', 'server auth'],
    duration: { min: '1h', max: '24h' },
  }
  const names = { dns: ['web.shop.svc'] }
  const key = generateKeySync({ algorithm: 'ECDSA', size: 384 })

  test.each([
    ['approve', { key }, {}],
    ['deny', { key: someKey }, {}],
    ['deny', { key: generateKeySync({ algorithm: 'Ed25519' }) }, {}],
    ['deny', { key }, { usages: ['client auth'] }],
    ['deny', { key }, { expirationSeconds: 600 }],
    ['deny', { key }, { expirationSeconds: 86_401 }],
    ['approve', { key }, { expirationSeconds: 86_400 }],
  ])('%s', async (is, asked, change) => {
    expect(ask(signingRequest({ ...asked, names }, change), [await policyOf(spec)]).is).toBe(is)
  })
})

describe('the ledger of keys', () => {
  const request = signingRequest({ names: { dns: ['web.shop.svc'] } })

  test('lets a replayed request of another owner wait, and never denies it', async () => {
    const policy = await policyOf(services)
    const first = ask(request, [policy])
    const keys = new KeyLedger()
    expect(keys.claim(first.asked?.keyHash ?? '', first.owner, now + 1000, now)).toBe(true)
    expect(ask(request, [policy], { keys }).is).toBe('approve')
    const other = {
      ...request,
      object: {
        ...request.object,
        spec: {
          ...request.object.spec,
          extra: { ...request.object.spec.extra, 'authentication.kubernetes.io/pod-uid': ['pod-web-1'] },
        },
      },
    }
    const copy = { ...webPod, metadata: { ...webPod.metadata, uid: 'pod-web-1' } }
    expect(ask(other, [policy], { keys, ...worldWith(copy) })).toMatchObject({ is: 'wait', reason: 'KeyInUse' })
    expect(ask(other, [policy], { keys, ...worldWith(copy), now: now + 1001 }).is).toBe('approve')
  })
})

describe('a PodCertificateRequest', () => {
  const spec = {
    requests: { kinds: ['PodCertificateRequest'], signerNames: ['example.com/pods'] },
    issue: {
      dnsNames: ['${service.name}.${namespace}.svc'],
      uris: ['spiffe://td/ns/${namespace}/sa/${serviceAccount.name}'],
      usages: ['digital signature', 'server auth'],
    },
    duration: { max: '12h' },
  }

  test('is given the names that its policy issues', async () => {
    expect(ask(podRequest(), [await policyOf(spec)])).toMatchObject({
      is: 'approve',
      granted: {
        names: { dnsNames: ['web.shop.svc', 'peers.shop.svc'], uris: ['spiffe://td/ns/shop/sa/web'] },
        usages: ['digital signature', 'server auth'],
        longest: 12 * 3600_000,
      },
    })
  })

  test('waits where a template gives no name yet', async () => {
    expect(ask(podRequest(), [await policyOf(spec)], { live: liveObjectsOf([webPod]) }).is).toBe('wait')
  })

  test('is denied only for what is in it', async () => {
    const policy = await policyOf(spec)
    expect(ask(podRequest({}, { unverifiedUserAnnotations: { 'example.com/cn': 'admin' } }), [policy]).is).toBe('deny')
    expect(ask(podRequest({ key: generateKeySync({ algorithm: 'RSA', size: 2048 }) }), [policy]).is).toBe('deny')
    expect(ask(podRequest({}, { podUID: 'another' }), [policy]).is).toBe('wait')
  })
})

test('expressions decide too: on the request for good, on live objects as they are, and an error is no pass', async () => {
  const rule = (expression: string) =>
    policyOf({ ...services, rules: [{ name: 'own', expression, message: 'not you' }] })
  const request = signingRequest({ names: { dns: ['web.shop.svc'] } })
  expect(
    ask(request, [
      await rule(
        'request.dnsNames.all(n, n.startsWith("web")) && pod.labels.app == "web" && serviceAccount.labels.tier == "front"',
      ),
    ]).is,
  ).toBe('approve')
  expect(ask(request, [await rule('request.dnsNames.size() > 1')])).toMatchObject({
    is: 'deny',
    message: expect.stringContaining('not you') as string,
  })
  expect(ask(request, [await rule('namespaceObject.labels.team == "bank"')]).is).toBe('wait')
  expect(ask(request, [await rule('pod.labels.missing == "x"')]).is).toBe('wait')
})

test('names of a label are shown as their author’s word', async () => {
  const policy = await policyOf({
    requests: { signerNames },
    names: { allowed: { dnsNames: ['${pod.labels[app]}.${namespace}.svc'] } },
  })
  const decision = ask(signingRequest({ names: { dns: ['web.shop.svc'] } }), [policy])
  expect(decision.is).toBe('approve')
  expect(decision.policies[0]?.rules).toContainEqual(
    expect.objectContaining({ rule: 'names.allowed', isUserControlled: true }),
  )
})

const candidates = ['web.shop.svc', 'peers.shop.svc', 'other.shop.svc', 'web.bank.svc', 'web-0.peers.shop.svc']
const patterns = [
  '*.${namespace}.svc',
  'web.${namespace}.svc',
  '${service.name}.${namespace}.svc',
  '*.*.shop.svc',
  '${pod.labels[app]}.shop.svc',
]
const csrs = new Map<string, string>()

test('a policy with one allowed name less never approves more, and never denies less for good', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.subarray(candidates, { minLength: 1 }),
      fc.subarray(patterns, { minLength: 1 }),
      fc.nat(),
      async (dns, allowed, at) => {
        const csr =
          csrs.get(dns.join()) ?? createCertificateRequest(someKey, { subject: [], names: { ...noNames, dns } })
        csrs.set(dns.join(), csr)
        const less = allowed.filter((_, index) => index !== at % allowed.length)
        const decisions = await Promise.all(
          [allowed, less].map(
            async (dnsNames) =>
              ask(signingRequest({ csr }), [
                await policyOf({ requests: { signerNames }, names: { allowed: { dnsNames } } }),
              ]).is,
          ),
        )
        const [more, fewer] = decisions.map((is) => ['deny', 'wait', 'approve'].indexOf(is))
        expect(fewer).toBeLessThanOrEqual(more ?? -1)
      },
    ),
    { numRuns: 60 },
  )
})

test('every rule that failed says what was looked at and why', async () => {
  const decision = ask(signingRequest({ csr: csrOf({ names: { dns: ['web.bank.svc'] } }) }), [await policyOf(services)])
  expect(decision).toMatchObject({ is: 'deny', message: expect.stringContaining('DNS:web.bank.svc') as string })
  for (const { rules } of decision.policies) for (const { why } of rules) expect(why).not.toBe('')
})
