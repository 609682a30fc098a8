// A bare client that approves: the same reads and writes as the approver's, and nothing decided.
import { KubernetesClient } from '../src/kubernetes/client.ts'
import type { CertificateSigningRequest } from '../src/kubernetes/certificates.ts'
import { loadKubeconfig } from '../src/kubernetes/kubeconfig.ts'
import { Reflector } from '../src/kubernetes/reflector.ts'
import { certificateSigningRequests, pods } from '../src/kubernetes/resource.ts'
import { serve } from './worker.ts'

const condition = { type: 'Approved', status: 'True', reason: 'Floor', message: 'approved by the floor' } as const

async function approve(client: KubernetesClient, request: CertificateSigningRequest): Promise<void> {
  const [, namespace = ''] = /^system:serviceaccount:([^:]+):/.exec(request.spec.username ?? '') ?? []
  const [name = ''] = request.spec.extra?.['authentication.kubernetes.io/pod-name'] ?? []
  await client.get(pods, { namespace, name })
  const approved = { ...request, status: { ...request.status, conditions: [condition] } }
  await client.update(certificateSigningRequests, approved, { subresource: 'approval' })
}

const methods = {
  /** Approves every request of a signer from now on. Resolves once it watches. */
  async start(kubeconfig: string, signerName: string): Promise<void> {
    const client = new KubernetesClient(await loadKubeconfig({ path: kubeconfig }))
    const reflector = new Reflector<CertificateSigningRequest, undefined>({
      client,
      resource: certificateSigningRequests,
      fieldSelector: `spec.signerName=${signerName}`,
      transform: () => undefined,
      handler: {
        added: (request) => {
          if ((request.status?.conditions ?? []).length > 0) return
          approve(client, request).catch((error: unknown) => console.error('floor:', error))
        },
      },
    })
    await reflector.synced
  },
}

export type ApproverFloor = typeof methods

serve(methods)
