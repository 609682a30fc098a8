import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { KubernetesClient } from '../../src/kubernetes/client.ts'
import type { CertificateSigningRequest } from '../../src/kubernetes/certificates.ts'
import { ApiError } from '../../src/kubernetes/errors.ts'
import { loadKubeconfig } from '../../src/kubernetes/kubeconfig.ts'
import { Reflector } from '../../src/kubernetes/reflector.ts'
import { certificateSigningRequests } from '../../src/kubernetes/resource.ts'
import { type Authority, createAuthority, issueCertificate } from '../../src/x509/authority.ts'
import { readCertificateRequest } from '../../src/x509/certificate-request.ts'
import { encodePrivateKey, generateKeySync } from '../../src/x509/key.ts'
import type { KeyUsage } from '../../src/x509/key-usage.ts'
import { buildSubject } from '../../src/x509/name.ts'
import type { ControlPlaneAccess } from './control-plane.ts'
import { apply } from './kubectl.ts'

const day = 24 * 3600_000

/** A CA for a {@link TestSigner}. */
export function newAuthority(commonName: string): Authority {
  const key = generateKeySync({ algorithm: 'ECDSA', size: 256 })
  return createAuthority({ subject: buildSubject({ commonName }), key, lifetime: day, now: Date.now() })
}

/** A CA as files: its certificate, and its key for nobody else. They live as long as the control plane's directory. */
export async function authorityFiles(
  { directory }: ControlPlaneAccess,
  { certificate, key }: Authority,
): Promise<{ readonly certificate: string; readonly key: string }> {
  const folder = await mkdtemp(join(directory, 'ca-'))
  const files = { certificate: join(folder, 'ca.crt'), key: join(folder, 'ca.key') }
  await writeFile(files.certificate, certificate.pem)
  await writeFile(files.key, encodePrivateKey(key, 'PKCS8'), { mode: 0o600 })
  return files
}

/** Makes certificates of some CAs the trust of a signer. */
export async function publishTrust(
  controlPlane: ControlPlaneAccess,
  signerName: string,
  ...trusted: readonly Authority[]
): Promise<void> {
  await apply(controlPlane, {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'ClusterTrustBundle',
    metadata: { name: `${signerName.replace('/', ':')}:roots` },
    spec: { signerName, trustBundle: trusted.map(({ certificate }) => certificate.pem).join('') },
  })
}

/** Signs what is approved for one signer name, by a CA that a test may replace. It looks at nothing that it is asked for. */
export class TestSigner {
  authority: Authority
  /** Whether it also approves, as a policy without any rule would. */
  approves = false
  readonly signerName: string
  readonly #client: KubernetesClient
  readonly #reflector: Reflector<CertificateSigningRequest, string>
  readonly #running = new Set<Promise<void>>()

  private constructor(signerName: string, authority: Authority, client: KubernetesClient) {
    this.signerName = signerName
    this.authority = authority
    this.#client = client
    const take = (request: CertificateSigningRequest): void => {
      const running = this.#take(request).finally(() => this.#running.delete(running))
      this.#running.add(running)
    }
    this.#reflector = new Reflector({
      client,
      resource: certificateSigningRequests,
      fieldSelector: `spec.signerName=${signerName}`,
      transform: ({ metadata }) => metadata.name ?? '',
      handler: { added: take, modified: take },
    })
  }

  static async start(controlPlane: ControlPlaneAccess, signerName: string, authority: Authority): Promise<TestSigner> {
    const client = new KubernetesClient(await loadKubeconfig({ path: controlPlane.adminKubeconfig }))
    return new TestSigner(signerName, authority, client)
  }

  async close(): Promise<void> {
    await this.#reflector.close()
    await Promise.allSettled(this.#running)
    await this.#client.close()
  }

  async #take(request: CertificateSigningRequest): Promise<void> {
    const types = request.status?.conditions?.map(({ type }) => type) ?? []
    try {
      if (types.length === 0 && this.approves) await this.#approve(request)
      if (types.join() === 'Approved' && request.status?.certificate === undefined) await this.#sign(request)
    } catch (error) {
      // Somebody has changed or deleted it meanwhile; the watch tells what follows.
      if (!(error instanceof ApiError && (error.status === 404 || error.status === 409))) throw error
    }
  }

  async #approve(request: CertificateSigningRequest): Promise<void> {
    const conditions = [{ type: 'Approved', status: 'True', reason: 'Test', message: 'by a test' }] as const
    await this.#client.update(
      certificateSigningRequests,
      { ...request, status: { ...request.status, conditions } },
      { subresource: 'approval' },
    )
  }

  async #sign(request: CertificateSigningRequest): Promise<void> {
    const { spec, status } = request
    const { publicKey, subject, names } = readCertificateRequest(Buffer.from(spec.request, 'base64').toString())
    const now = Date.now()
    const profile = {
      publicKey,
      subject,
      names,
      usages: (spec.usages ?? []) as readonly KeyUsage[],
      isCA: false,
      notBefore: now,
      notAfter: now + (spec.expirationSeconds ?? 3600) * 1000,
    }
    const certificate = Buffer.from(issueCertificate(this.authority, profile, now).pem).toString('base64')
    await this.#client.update(
      certificateSigningRequests,
      { ...request, status: { ...status, certificate } },
      { subresource: 'status' },
    )
  }
}
