// A worker: the floor. It does what no driver can do without, and nothing else: create a request, and wait until a watch shows its
// certificate. It makes requests like the driver's, with an account that has the driver's rights, and a key made beforehand.
import { randomBytes } from 'node:crypto'
import { KubernetesClient } from '../src/kubernetes/client.ts'
import { loadKubeconfig } from '../src/kubernetes/kubeconfig.ts'
import type { CertificateRequest, ObjectName } from '../src/kubernetes/object.ts'
import { Reflector } from '../src/kubernetes/reflector.ts'
import { certificateRequests } from '../src/kubernetes/resource.ts'
import { Semaphore } from '../src/runtime/semaphore.ts'
import { createCertificateRequest } from '../src/x509/certificate-request.ts'
import { generateKey, generateKeySync, type KeySpec } from '../src/x509/key.ts'
import type { BenchPod } from './ground.ts'
import { serve } from './worker.ts'

export type KeyAlgorithm = 'ECDSA' | 'RSA'

const keySpecs: Readonly<Record<KeyAlgorithm, KeySpec>> = {
  ECDSA: { algorithm: 'ECDSA', size: 256 },
  RSA: { algorithm: 'RSA', size: 2048 },
}
const keys = { ECDSA: generateKeySync(keySpecs.ECDSA), RSA: generateKeySync(keySpecs.RSA) }

const labels = { 'podpass-bench/floor': 'true' }
/** What waits for the certificate of a request, by the request's name. */
const waiting = new Map<string, () => void>()
let client: KubernetesClient | undefined

const methods = {
  /** Resolves once it watches. */
  async start(kubeconfig: string): Promise<void> {
    client = new KubernetesClient(await loadKubeconfig({ path: kubeconfig }))
    const tell = ({ metadata, status }: CertificateRequest): void => {
      if (status?.certificate !== undefined) waiting.get(metadata.name ?? '')?.()
    }
    const reflector = new Reflector({
      client,
      resource: certificateRequests,
      labelSelector: 'podpass-bench/floor=true',
      transform: () => undefined,
      handler: { added: tell, modified: tell },
    })
    await reflector.synced
  },

  /**
   * Makes one request for each pod, all at once.
   *
   * @returns milliseconds from the first CREATE until each certificate
   */
  async request(pods: readonly BenchPod[], algorithm: KeyAlgorithm): Promise<readonly number[]> {
    const requests = pods.map((pod) => requestOf(pod, algorithm))
    const started = performance.now()
    const latencies = await Promise.all(
      requests.map(async (request) => {
        const shown = Promise.withResolvers<void>()
        waiting.set(nameOf(request).name, shown.resolve)
        await Promise.all([connected().create(certificateRequests, request), shown.promise])
        return performance.now() - started
      }),
    )
    waiting.clear()
    await Promise.all(requests.map((request) => connected().delete(certificateRequests, nameOf(request))))
    return latencies
  },

  /**
   * Makes RSA keys of 2048 bits, as many at a time as are worth it.
   *
   * @returns milliseconds until the last one
   */
  async makeKeys(count: number, atOnce: number): Promise<number> {
    const slots = new Semaphore(atOnce)
    const started = performance.now()
    await Promise.all(Array.from({ length: count }, () => slots.run(() => generateKey(keySpecs.RSA))))
    return performance.now() - started
  },
}

export type Requester = typeof methods

serve(methods)

function connected(): KubernetesClient {
  if (client === undefined) throw new Error('the requester was not started')
  return client
}

function requestOf(pod: BenchPod, algorithm: KeyAlgorithm): CertificateRequest {
  const names = { dns: [`${pod.name}.${pod.namespace}.svc.cluster.local`], ip: [], uri: [], email: [] }
  const csr = createCertificateRequest(keys[algorithm], { subject: [], names })
  return {
    metadata: {
      name: `floor-${randomBytes(16).toString('hex')}`,
      namespace: pod.namespace,
      labels,
      ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: pod.name, uid: pod.uid }],
    },
    spec: {
      request: Buffer.from(csr).toString('base64'),
      issuerRef: { name: 'bench', kind: 'Issuer', group: 'cert-manager.io' },
      usages: ['digital signature', 'key encipherment'],
      duration: '720h',
    },
  }
}

function nameOf({ metadata }: CertificateRequest): ObjectName & { readonly namespace: string } {
  return { namespace: metadata.namespace ?? '', name: metadata.name ?? '' }
}
