import type { KeyUsage } from '../x509/key-usage.ts'
import type { Subject } from '../x509/name.ts'
import type { AttributeReader } from './attributes.ts'
import type { VolumeSpec } from './spec.ts'

/** The issuer-group of volumes whose certificates come from a signer of Kubernetes' own certificates API. */
export const signerGroup = 'certificates.k8s.io'

/** The shortest lifetime that the API takes, and the longest, in milliseconds (certificates.k8s.io/v1, expirationSeconds, int32). */
const shortest = 600_000
const longest = (2 ** 31 - 1) * 1000

/** `<domain>/<path>`, both lower case; the domain has two labels or more (apis/certificates/validation ValidateSignerName). */
const label = '[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?'
const signerForm = new RegExp(`^(?=[^/]{1,253}/)${label}(?:\\.${label})+/${label}(?:\\.${label})*$`)
const longestSigner = 571

/** What a signer of the kube-controller-manager signs (pkg/controller/certificates/signer, apis/certificates/helpers.go). */
interface BuiltInSigner {
  readonly required: readonly KeyUsage[]
  readonly optional: readonly KeyUsage[]
  /** Whether the subject must be that of a node. */
  readonly isNode: boolean
  readonly names: 'any' | 'none' | 'hosts'
}

const builtInDomain = 'kubernetes.io/'

const builtInSigners: ReadonlyMap<string, BuiltInSigner> = new Map([
  [
    'kubernetes.io/kube-apiserver-client',
    { required: ['client auth'], optional: ['digital signature', 'key encipherment'], isNode: false, names: 'any' },
  ],
  [
    'kubernetes.io/kube-apiserver-client-kubelet',
    { required: ['digital signature', 'client auth'], optional: ['key encipherment'], isNode: true, names: 'none' },
  ],
  [
    'kubernetes.io/kubelet-serving',
    { required: ['digital signature', 'server auth'], optional: ['key encipherment'], isNode: true, names: 'hosts' },
  ],
])

/**
 * Notes what no signer, or not the one that a volume names, would sign: a request that breaks these rules is refused by the API server,
 * fails for good, or waits for ever.
 */
export function reportSignerProblems(
  reader: AttributeReader,
  asked: Pick<VolumeSpec, 'issuer' | 'subject' | 'commonName' | 'names' | 'usages' | 'isCA' | 'duration'>,
): void {
  const { issuer, duration } = asked
  if (issuer.kind !== 'Signer') {
    const message = `unsupported value ${JSON.stringify(issuer.kind)}: the group ${signerGroup} has only Signer`
    reader.problem('issuer-kind', message)
  }
  if (duration < shortest || duration > longest) {
    const message = `a lifetime of ${Math.round(duration / 1000)}s cannot be asked of a signer: from 10m (600s) to ${longest / 1000}s`
    reader.problem('duration', message)
  }
  if (issuer.name === '') return
  if (issuer.name.length > longestSigner || !signerForm.test(issuer.name)) {
    const form = 'must be the name of a signer, such as example.com/serving'
    reader.problem('issuer-name', `invalid value ${JSON.stringify(issuer.name)}: ${form}`)
  } else if (issuer.name.startsWith(builtInDomain)) {
    const rules = builtInSigners.get(issuer.name)
    if (rules === undefined) {
      const known = [...builtInSigners.keys()].join(', ')
      reader.problem('issuer-name', `no signer ${issuer.name} signs requests: those of Kubernetes that do are ${known}`)
    } else {
      reportBuiltIn(reader, asked, rules)
    }
  }
}

function reportBuiltIn(
  reader: AttributeReader,
  {
    issuer: { name },
    subject,
    commonName = '',
    names,
    usages,
    isCA,
  }: Omit<Parameters<typeof reportSignerProblems>[1], 'duration'>,
  rules: BuiltInSigner,
): void {
  const { required, optional, isNode } = rules
  const allowed = new Set([...required, ...optional])
  if (!required.every((usage) => usages.includes(usage)) || !usages.every((usage) => allowed.has(usage))) {
    const may = `${required.join(' and ')}, with or without ${optional.join(' and ')}`
    reader.problem('key-usages', `${name} signs ${may}; asked for are ${usages.join(', ')}`)
  }
  if (isCA) reader.problem('is-ca', `${name} signs no CA`)
  if ((names.otherNames ?? []).length > 0) reader.problem('other-names', `${name} leaves such names out`)
  const organizations = valuesOf(subject, 'O')
  if (isNode) {
    if (organizations.join() !== 'system:nodes') {
      reader.problem('organizations', `${name} signs the organization system:nodes, and no other one`)
    }
    if (!commonName.startsWith('system:node:')) {
      reader.problem('common-name', `${name} signs the names of nodes alone: system:node:NAME`)
    }
  } else if (organizations.includes('system:masters')) {
    reader.problem('organizations', `${name} signs no request of system:masters`)
  }
  reportNames(reader, name, names, rules.names)
}

function reportNames(
  reader: AttributeReader,
  signer: string,
  { dns, ip, uri, email }: VolumeSpec['names'],
  allowed: BuiltInSigner['names'],
): void {
  if (allowed === 'any') return
  const given = [
    ['dns-names', dns, allowed === 'hosts'],
    ['ip-sans', ip, allowed === 'hosts'],
    ['uri-sans', uri, false],
    ['email-sans', email, false],
  ] as const
  for (const [attribute, values, isAllowed] of given) {
    if (values.length > 0 && !isAllowed) reader.problem(attribute, `${signer} signs no such names`)
  }
  if (allowed === 'hosts' && dns.length + ip.length === 0) {
    reader.problem(
      'dns-names',
      `${signer} signs requests with a DNS name or an IP address: give one here or in ip-sans`,
    )
  }
}

function valuesOf(subject: Subject, type: string): readonly string[] {
  return subject.flat().flatMap((attribute) => (attribute.type === type ? [attribute.value] : []))
}
