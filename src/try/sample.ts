import { noPodMetadata } from '../volume/pod-metadata.ts'
import { parseVolumeSpec } from '../volume/spec.ts'
import { type Authority, createAuthority, issueCertificate } from '../x509/authority.ts'
import { readCertificates } from '../x509/certificate.ts'
import { verifyChain } from '../x509/chain.ts'
import { type SubjectNames, noNames } from '../x509/general-names.ts'
import { encodePrivateKey, generateKeySync, publicKeyDer } from '../x509/key.ts'
import type { KeyUsage } from '../x509/key-usage.ts'
import { buildSubject } from '../x509/name.ts'
import { volumeContext, volumeHandle } from './kubelet-request.ts'
import type { PlannedVolume } from './plan.ts'
import type { Credentials } from './pod-view.ts'
import type { PublishedVolume } from './step.ts'

const keySpec = { algorithm: 'ECDSA', size: 256 } as const

/** A CA, for tests. */
export function sampleAuthority(name: string): Authority {
  const now = Date.now()
  return createAuthority({
    subject: buildSubject({ commonName: name }),
    key: generateKeySync(keySpec),
    lifetime: 3600_000,
    now,
  })
}

/** The files of a volume whose certificate a CA has signed, for tests. */
export function sampleCredentials(
  authority: Authority,
  names: Partial<SubjectNames>,
  usages: readonly KeyUsage[] = ['digital signature', 'key encipherment'],
): Credentials {
  const now = Date.now()
  const key = generateKeySync(keySpec)
  const profile = {
    publicKey: publicKeyDer(key),
    subject: [],
    names: { ...noNames, ...names },
    usages,
    isCA: false,
    notBefore: now,
    notAfter: now + 600_000,
  }
  return {
    certificate: issueCertificate(authority, profile, now).pem,
    privateKey: encodePrivateKey(key, 'PKCS8'),
    ca: authority.certificate.pem,
  }
}

/** A volume `tls` of a pod in the namespace sandbox, for tests. */
export function samplePlanned(name: string, attributes: Readonly<Record<string, string>> = {}): PlannedVolume {
  const location = { source: 'pod.yaml', line: 1 }
  const volume = {
    name: 'tls',
    readOnly: true,
    fsType: '',
    attributes: {
      'csi.cert-manager.io/issuer-name': 'ca-issuer',
      'csi.cert-manager.io/dns-names': '${POD_NAME}.${POD_NAMESPACE}.svc',
      ...attributes,
    },
    mounts: [{ container: 'main', path: '/tls', partly: false }],
    location,
    attributeLocations: new Map(),
  }
  const pod = {
    namespace: 'sandbox',
    name,
    uid: `uid-of-${name}`,
    serviceAccount: 'default',
    metadata: noPodMetadata,
    fsGroup: undefined,
    volumes: [volume],
    owner: `Pod sandbox/${name}`,
    location,
  }
  const parsed = parseVolumeSpec(volumeContext(pod, volume))
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems))
  return { pod, volume, spec: parsed.spec }
}

/** The same, as it looks once it is published. */
export function samplePublished(
  planned: PlannedVolume,
  authority: Authority,
  usages?: readonly KeyUsage[],
): PublishedVolume {
  const credentials = sampleCredentials(authority, planned.spec.names, usages)
  const [leaf] = readCertificates(credentials.certificate)
  if (leaf === undefined) throw new Error('no certificate')
  return {
    planned,
    handle: volumeHandle(planned.pod.uid, planned.volume.name),
    target: `/kubelet/${planned.pod.name}/mount`,
    took: 84.2,
    view: {
      mount: { type: 'tmpfs', options: ['ro', 'nosuid', 'nodev', 'noexec', 'relatime', 'size=4096k', 'noswap'] },
      files: ['ca.crt', 'tls.crt', 'tls.key'].map((path, index) => ({
        path,
        mode: '-r--r-----',
        uid: 0,
        gid: 2000,
        size: 10 ** (index + 1),
        link: undefined,
      })),
      leaf,
      key: keySpec,
      keyMatches: true,
      chain: verifyChain(leaf, [], [authority.certificate], Date.now()),
      credentials,
    },
    renewAt: leaf.notAfter - 200_000,
    events: [],
  }
}
