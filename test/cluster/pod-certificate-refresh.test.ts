import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import type { PodCertificateRequest } from '../../src/kubernetes/certificates.ts'
import { kubectl, apply } from './kubectl.ts'
import { createNamespace } from './namespace.ts'
import { deletePod } from './pod.ts'
import { podWithCertificate, readPodCertificate } from './pod-certificate.ts'
import { installSigner, maySign, type SignerProcess, startSigner } from './signer-process.ts'
import { authorityFiles, newAuthority } from './test-signer.ts'
import { until } from './until.ts'

// The kubelet asks for the next certificate of a running pod by itself, where the signer has told it to. The API server wants ten
// minutes before that from a certificate's beginning, and the kubelet adds up to five and looks once in two (podcertificatemanager.go),
// so that this lasts a quarter of an hour, nearly all of it idle. It runs where PODPASS_SLOW_TESTS is 1.

const cluster = inject('cluster')
const { controlPlane } = cluster
const namespace = 'refreshed'
const signerName = 'refresh.podpass.io/pods'
const longEnough = 20 * 60_000

describe.runIf(process.env['PODPASS_SLOW_TESTS'] === '1')('a pod that lives on', () => {
  let signer: SignerProcess

  beforeAll(async () => {
    await installSigner(controlPlane)
    await createNamespace(controlPlane, namespace)
    await maySign(controlPlane, signerName)
    const files = await authorityFiles(controlPlane, newAuthority('root of refreshed pods'))
    await apply(controlPlane, {
      apiVersion: 'podpass.io/v1alpha1',
      kind: 'CertificatePolicy',
      metadata: { name: namespace },
      spec: {
        requests: { kinds: ['PodCertificateRequest'], signerNames: [signerName] },
        issue: { uris: ['spiffe://cluster.example/pod/${pod.uid}'], usages: ['digital signature', 'client auth'] },
      },
    })
    const settings = { signers: [{ name: signerName, ca: { files }, refreshAfter: '10m' }] }
    signer = await startSigner(controlPlane, settings, ['--trust-pcr-creators'])
  })

  afterAll(async () => {
    await signer?.daemon.close('SIGTERM')
    await kubectl(controlPlane, ['delete', 'certificatepolicy', namespace, '--ignore-not-found'])
  })

  test(
    'gets its next certificate from the kubelet when the signer has said, with another key',
    { timeout: longEnough },
    async () => {
      const pod = { namespace, name: 'lasting', uid: '' }
      await apply(controlPlane, podWithCertificate(cluster, pod, signerName))
      await kubectl(controlPlane, ['wait', 'pod', pod.name, '-n', namespace, '--for=condition=Ready', '--timeout=90s'])
      const first = await readPodCertificate(controlPlane, pod)
      const started = await containerStart()
      const firstRequest = await requestFor(first)
      const refreshAt = Date.parse(firstRequest?.status?.beginRefreshAt ?? '')
      expect(refreshAt).toBeLessThan(Date.parse(first.validTo) - 40 * 60_000)

      const second = await until(
        'a certificate for another key',
        async () => {
          const now = await readPodCertificate(controlPlane, pod)
          return now.serialNumber === first.serialNumber ? undefined : now
        },
        { timeout: longEnough - 120_000, interval: 5_000 },
      )
      expect(second.publicKey.equals(first.publicKey)).toBe(false)
      expect(second.subjectAltName).toBe(first.subjectAltName)
      expect(second.validFromDate.getTime()).toBeGreaterThan(first.validFromDate.getTime())
      const secondRequest = await requestFor(second)
      expect(Date.parse(secondRequest?.metadata.creationTimestamp ?? '')).toBeGreaterThanOrEqual(refreshAt)
      // It is the same pod, and nothing was started anew to get there.
      expect(await containerStart()).toBe(started)
      await deletePod(controlPlane, pod)
    },
  )
})

/** The request that a certificate was the answer to. */
async function requestFor(certificate: X509Certificate): Promise<PodCertificateRequest | undefined> {
  const listed = await kubectl(controlPlane, ['get', 'podcertificaterequests', '-n', namespace, '-o', 'json'])
  const { items } = JSON.parse(listed) as { readonly items: readonly PodCertificateRequest[] }
  return items.find(({ status }) => {
    const { certificateChain = '' } = status ?? {}
    return certificateChain !== '' && new X509Certificate(certificateChain).serialNumber === certificate.serialNumber
  })
}

/** When the pod's container was started: another time after a restart. */
function containerStart(): Promise<string> {
  const path =
    'jsonpath={.status.containerStatuses[0].state.running.startedAt} {.status.containerStatuses[0].restartCount}'
  return kubectl(controlPlane, ['get', 'pod', 'lasting', '-n', namespace, '-o', path])
}
