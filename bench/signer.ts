// A worker: the issuer of the benchmark. It approves and signs every CertificateRequest a fixed time after it has seen it, so that
// what remains of a latency is the driver's and the API server's.
import { setTimeout as delay } from 'node:timers/promises'
import { loadKubeconfig } from '../src/kubernetes/kubeconfig.ts'
import { KubernetesClient, PatchType } from '../src/kubernetes/client.ts'
import type { CertificateRequest } from '../src/kubernetes/object.ts'
import { Reflector } from '../src/kubernetes/reflector.ts'
import { certificateRequests } from '../src/kubernetes/resource.ts'
import { parseGoDuration } from '../src/runtime/go-duration.ts'
import { type Authority, createAuthority, issueCertificate } from '../src/x509/authority.ts'
import { readCertificateRequest } from '../src/x509/certificate-request.ts'
import { generateKeySync } from '../src/x509/key.ts'
import type { KeyUsage } from '../src/x509/key-usage.ts'
import { buildSubject } from '../src/x509/name.ts'
import { serve } from './worker.ts'

const day = 24 * 3600_000

const methods = {
  /**
   * Resolves once it watches.
   *
   * @param pause - milliseconds between seeing a request and signing it
   */
  async start(kubeconfig: string, pause: number): Promise<void> {
    const client = new KubernetesClient(await loadKubeconfig({ path: kubeconfig }))
    const subject = buildSubject({ commonName: 'Benchmark CA' })
    const key = generateKeySync({ algorithm: 'ECDSA', size: 256 })
    const authority = createAuthority({ subject, key, lifetime: 365 * day, now: Date.now() })
    const reflector = new Reflector({
      client,
      resource: certificateRequests,
      transform: () => undefined,
      handler: {
        added: (request) => {
          delay(pause)
            .then(() => answer(client, authority, request))
            .catch((error: unknown) => console.error('the signer could not answer a request:', error))
        },
      },
    })
    await reflector.synced
  },
}

export type Signer = typeof methods

serve(methods)

/** Writes the conditions and the certificate that cert-manager's approver and its CA issuer write, in one go. */
async function answer(client: KubernetesClient, authority: Authority, request: CertificateRequest): Promise<void> {
  const { metadata, spec } = request
  if (request.status?.certificate !== undefined) return
  const asked = readCertificateRequest(Buffer.from(spec.request, 'base64').toString('utf8'))
  const now = Date.now()
  const leaf = issueCertificate(
    authority,
    {
      publicKey: asked.publicKey,
      subject: asked.subject,
      names: asked.names,
      usages: (spec.usages ?? []) as readonly KeyUsage[],
      isCA: spec.isCA === true,
      notBefore: now,
      notAfter: now + parseGoDuration(spec.duration ?? '1h'),
    },
    now,
  )
  const condition = (type: string, reason: string): object => {
    const lastTransitionTime = new Date(now).toISOString()
    return { type, status: 'True', reason, message: 'by the benchmark', lastTransitionTime }
  }
  const status = {
    conditions: [condition('Approved', 'Approved'), condition('Ready', 'Issued')],
    certificate: Buffer.from(leaf.pem).toString('base64'),
    ca: Buffer.from(authority.certificate.pem).toString('base64'),
  }
  const name = { namespace: metadata.namespace, name: metadata.name ?? '' }
  await client.patch(certificateRequests, name, PatchType.merge, { status }, { subresource: 'status' })
}
