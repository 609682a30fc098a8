import type { KeyObject } from 'node:crypto'
import type { Pod } from '../../kubernetes/object.ts'
import { createCertificateRequest } from '../../x509/certificate-request.ts'
import { generateKeySync, type KeySpec } from '../../x509/key.ts'
import { buildSubject } from '../../x509/name.ts'
import { decodePem } from '../../x509/pem.ts'
import { parseGoDuration } from '../../runtime/go-duration.ts'
import type { LiveObjects } from '../live-objects.ts'
import type { PolicyTest } from '../policy/certificate-policy.ts'
import type { Policy } from '../policy/policy.ts'
import { kindsOf } from '../selection.ts'
import type { RequestObject } from '../request/request-object.ts'
import { splitName } from './test-objects.ts'

type TestRequest = PolicyTest['request']

/**
 * The request that a policy's test describes, as its author would make it and the API server would stamp it: with a real key and
 * signature, so that a test goes the same way as a request of the cluster.
 *
 * @param created - epoch milliseconds
 */
export function testRequest(policy: Policy, test: PolicyTest, live: LiveObjects, created: number): RequestObject {
  const { request } = test
  const kind = request.kind ?? kindsOf(policy.spec)[0] ?? 'CertificateSigningRequest'
  const [signer = ''] = policy.spec.requests.signerNames ?? []
  const signerName = request.signerName ?? signer.replace('*', 'test')
  const metadata = { name: 'test', uid: 'test', creationTimestamp: new Date(created).toISOString() }
  const requester = requesterOf(request, live)
  const usages = request.usages ?? ['digital signature', 'key encipherment', 'server auth', 'client auth']
  const namespace = request.namespace ?? splitName(request.pod ?? request.serviceAccount ?? 'default/').namespace
  switch (kind) {
    case 'CertificateSigningRequest': {
      const seconds =
        request.duration === undefined ? {} : { expirationSeconds: parseGoDuration(request.duration) / 1000 }
      return {
        kind,
        object: { metadata, spec: { request: encoded(request), signerName, usages, ...seconds, ...requester } },
      }
    }
    case 'CertificateRequest': {
      const [issuer] = policy.spec.requests.issuers ?? []
      const { name, kind: issuerKind = 'Issuer', group = 'cert-manager.io' } = request.issuer ?? issuer ?? { name: '' }
      const issuerRef = { name: name.replace('*', 'test'), kind: issuerKind, group }
      const duration = request.duration === undefined ? {} : { duration: request.duration }
      return {
        kind,
        object: {
          metadata: { ...metadata, namespace },
          spec: { request: encoded(request), issuerRef, usages, ...duration, ...requester },
        },
      }
    }
    case 'PodCertificateRequest':
      return { kind, object: { metadata: { ...metadata, namespace }, spec: { signerName, ...podSpec(request, live) } } }
  }
}

function csr(request: TestRequest): string {
  const { commonName, organizations = [], dnsNames = [], ipAddresses = [], uris = [], emailAddresses = [] } = request
  const names = { dns: dnsNames, ip: ipAddresses, uri: uris, email: emailAddresses }
  return createCertificateRequest(testKey(request.key), { subject: buildSubject({ commonName, organizations }), names })
}

function encoded(request: TestRequest): string {
  return Buffer.from(csr(request)).toString('base64')
}

/** Keys are slow to make and say nothing: tests that ask for the same kind share one. */
const keys = new Map<string, KeyObject>()

function testKey(asked: TestRequest['key']): KeyObject {
  const spec = keySpec(asked)
  const id = JSON.stringify(spec)
  const key = keys.get(id) ?? generateKeySync(spec)
  keys.set(id, key)
  return key
}

function keySpec({ algorithm, size }: NonNullable<TestRequest['key']> = { algorithm: 'ECDSA' }): KeySpec {
  switch (algorithm) {
    case 'RSA':
      return { algorithm, size: size ?? 2048 }
    case 'ECDSA':
      return { algorithm, size: size === 384 || size === 521 ? size : 256 }
    case 'Ed25519':
      return { algorithm }
  }
}

const extra = 'authentication.kubernetes.io/'

function requesterOf({ pod, serviceAccount, user, groups = [] }: TestRequest, live: LiveObjects) {
  if (user !== undefined) return { username: user, groups: [...groups, 'system:authenticated'] }
  if (pod !== undefined) {
    const { namespace, name } = splitName(pod)
    const found = live.pod(namespace, name)
    const account = found?.spec?.serviceAccountName ?? 'default'
    return {
      ...accountOf(namespace, account, live),
      extra: {
        [`${extra}pod-name`]: [name],
        [`${extra}pod-uid`]: [found?.metadata.uid ?? ''],
        [`${extra}node-name`]: [found?.spec?.nodeName ?? ''],
      },
    }
  }
  if (serviceAccount === undefined) return { username: 'anonymous', groups }
  const { namespace, name } = splitName(serviceAccount)
  return accountOf(namespace, name, live)
}

function accountOf(namespace: string, name: string, live: LiveObjects) {
  const uid = live.serviceAccount(namespace, name)?.metadata.uid ?? `uid-of-${namespace}-${name}`
  const groups = ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated']
  return { username: `system:serviceaccount:${namespace}:${name}`, uid, groups }
}

function podSpec(request: TestRequest, live: LiveObjects) {
  const { namespace, name } = splitName(request.pod ?? '')
  const pod: Pod | undefined = live.pod(namespace, name)
  const account = pod?.spec?.serviceAccountName ?? 'default'
  const [block] = decodePem(
    createCertificateRequest(testKey(request.key), { subject: [], names: { dns: [], ip: [], uri: [], email: [] } }),
  )
  return {
    podName: name,
    podUID: pod?.metadata.uid ?? '',
    serviceAccountName: account,
    serviceAccountUID: accountOf(namespace, account, live).uid,
    nodeName: pod?.spec?.nodeName ?? '',
    nodeUID: '',
    stubPKCS10Request: block?.der.toBase64() ?? '',
    ...(request.duration !== undefined && { maxExpirationSeconds: parseGoDuration(request.duration) / 1000 }),
  }
}
