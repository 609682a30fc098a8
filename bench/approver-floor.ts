// A bare client that approves and signs: the same reads and writes as the approver's and the signer's, and nothing decided. The
// certificate is made beforehand.
import type { CertificateSigningRequest } from '../src/kubernetes/certificates.ts'
import { KubernetesClient } from '../src/kubernetes/client.ts'
import { loadKubeconfig } from '../src/kubernetes/kubeconfig.ts'
import { Reflector } from '../src/kubernetes/reflector.ts'
import { certificateSigningRequests, pods } from '../src/kubernetes/resource.ts'
import { createAuthority } from '../src/x509/authority.ts'
import { generateKeySync } from '../src/x509/key.ts'
import { buildSubject } from '../src/x509/name.ts'
import { serve } from './worker.ts'

const condition = { type: 'Approved', status: 'True', reason: 'Floor', message: 'approved by the floor' } as const
const key = generateKeySync({ algorithm: 'ECDSA', size: 256 })
const options = { subject: buildSubject({ commonName: 'floor' }), key, lifetime: 86_400_000, now: Date.now() }
const certificate = Buffer.from(createAuthority(options).certificate.pem).toString('base64')

async function serveRequest(client: KubernetesClient, request: CertificateSigningRequest): Promise<void> {
  const [, namespace = ''] = /^system:serviceaccount:([^:]+):/.exec(request.spec.username ?? '') ?? []
  const [name = ''] = request.spec.extra?.['authentication.kubernetes.io/pod-name'] ?? []
  await client.get(pods, { namespace, name })
  const decided = { ...request, status: { ...request.status, conditions: [condition] } }
  const approved = await client.update(certificateSigningRequests, decided, { subresource: 'approval' })
  const signed = { ...approved, status: { ...approved.status, certificate } }
  await client.update(certificateSigningRequests, signed, { subresource: 'status' })
}

const methods = {
  /** Approves and signs every request of a signer from now on. Resolves once it watches. */
  async start(kubeconfig: string, signerName: string): Promise<void> {
    // It has no queue of its own: what is too much at once waits in the client.
    const client = new KubernetesClient(await loadKubeconfig({ path: kubeconfig }), { timeout: 600_000 })
    const reflector = new Reflector<CertificateSigningRequest, undefined>({
      client,
      resource: certificateSigningRequests,
      fieldSelector: `spec.signerName=${signerName}`,
      transform: () => undefined,
      handler: {
        added: (request) => {
          if ((request.status?.conditions ?? []).length > 0) return
          serveRequest(client, request).catch((error: unknown) => console.error('floor:', error))
        },
      },
    })
    await reflector.synced
  },
}

export type ApproverFloor = typeof methods

serve(methods)
