import { parseGoDuration } from '../../runtime/go-duration.ts'
import { isIdentityKind, bindsToSubject } from './binding-templates.ts'
import type { CertificatePolicySpec } from './certificate-policy.ts'
import type { NameTemplates } from './policy.ts'

/** What is wrong with a policy: the steps to the field, and what to do. */
export interface PolicyProblem {
  readonly at: readonly (string | number)[]
  readonly message: string
}

/** What the administrator of the approver, not the author of a policy, decides. */
export interface PolicyLimits {
  /** Whether policies may be for signers whose certificates the API server itself believes. */
  readonly allowApiserverSigners: boolean
}

/** Certificates of these signers are accounts of the API server. */
const apiserverSigners = 'kubernetes.io/kube-apiserver-client'

/** What no schema says: fields that only make sense together. */
export function policyProblems(spec: CertificatePolicySpec, limits: PolicyLimits): PolicyProblem[] {
  return [
    ...requestProblems(spec, limits),
    ...subjectProblems(spec),
    ...nameProblems(spec),
    ...sizeProblems(spec),
    ...issueProblems(spec),
  ]
}

function requestProblems({ requests }: CertificatePolicySpec, limits: PolicyLimits): PolicyProblem[] {
  const problems: PolicyProblem[] = []
  const { kinds, signerNames = [], issuers } = requests
  if (signerNames.length === 0 && issuers === undefined) {
    problems.push({ at: ['requests'], message: 'names nobody who signs: give signerNames or issuers' })
  }
  if (kinds?.includes('CertificateRequest') && issuers === undefined) {
    problems.push({ at: ['requests', 'kinds'], message: 'has CertificateRequest, which needs issuers' })
  }
  if (kinds?.some((kind) => kind !== 'CertificateRequest') && signerNames.length === 0) {
    problems.push({ at: ['requests', 'kinds'], message: 'has kinds that need signerNames' })
  }
  for (const [index, signer] of signerNames.entries()) {
    const isApiserver = signer.startsWith(apiserverSigners) || signer === 'kubernetes.io/*'
    if (!isApiserver || limits.allowApiserverSigners) continue
    const message = 'is a signer whose certificates are accounts of the API server: --allow-apiserver-signers allows it'
    problems.push({ at: ['requests', 'signerNames', index], message })
  }
  return problems
}

function subjectProblems({ binding, subjects, requests }: CertificatePolicySpec): PolicyProblem[] {
  const isEmpty = subjects === undefined || Object.values(subjects).every((value) => value === undefined)
  const problems: PolicyProblem[] = []
  if (binding === 'none' && isEmpty) {
    problems.push({ at: ['binding'], message: 'is none, which needs subjects: who may ask for these names' })
  }
  if (binding !== 'none' && subjects !== undefined && isEmpty) {
    problems.push({ at: ['subjects'], message: 'must not be empty: leave it out' })
  }
  if (binding === 'none' && requests.kinds?.includes('PodCertificateRequest')) {
    problems.push({
      at: ['requests', 'kinds'],
      message: 'has PodCertificateRequest, which has no requester and so no subjects',
    })
  }
  return problems
}

function nameProblems({ binding, names }: CertificatePolicySpec): PolicyProblem[] {
  const problems: PolicyProblem[] = []
  const only = (field: 'allowBareNames' | 'allowPodIPs' | 'allowWildcardNames', wanted: string): void => {
    if (names[field] === true && binding !== wanted) {
      problems.push({ at: ['names', field], message: `is for binding ${wanted}, and this is ${binding}` })
    }
  }
  only('allowBareNames', 'pod')
  only('allowPodIPs', 'pod')
  only('allowWildcardNames', 'none')
  return problems
}

/** Templates that could never make a name which the binding lets pass. */
export function templateProblems(spec: CertificatePolicySpec, allowed: NameTemplates): PolicyProblem[] {
  const { binding } = spec
  if (binding === 'none') return []
  return Object.values(allowed).flatMap((templates) =>
    templates.flatMap((template, index) => {
      const at = ['names', 'allowed', template.kind, index]
      if (!isIdentityKind(template.kind)) {
        if (!template.isPattern || template.kind === 'ipAddresses') return []
        return [{ at, message: `has an asterisk, which only binding none may have in ${template.kind}` }]
      }
      // These may also limit what the binding finds by itself: the names of Services, and of Nodes.
      const mayLimit = ['dnsNames', 'commonNames'].includes(template.kind) && binding !== 'serviceAccount'
      if (mayLimit || bindsToSubject(template, spec)) return []
      return [
        {
          at,
          message: `does not name the ${binding}: ${bindingFacts[binding]}, without asterisk, label or annotation`,
        },
      ]
    }),
  )
}

const bindingFacts = {
  pod: 'use ${pod.uid}, or ${namespace} with ${pod.name}, ${serviceAccount.name} or ${service.name}',
  serviceAccount: 'use ${serviceAccount.uid}, or ${namespace} with ${serviceAccount.name}',
  node: 'use ${node.name}',
} as const

function sizeProblems({ keys = [], duration = {} }: CertificatePolicySpec): PolicyProblem[] {
  const problems: PolicyProblem[] = keys.flatMap(({ minSize = 0, maxSize = Infinity }, index) =>
    minSize > maxSize ? [{ at: ['keys', index, 'minSize'], message: 'is more than maxSize' }] : [],
  )
  const { min, max } = duration
  if (min !== undefined && max !== undefined && parseGoDuration(min) > parseGoDuration(max)) {
    problems.push({ at: ['duration', 'min'], message: 'is more than max' })
  }
  return problems
}

function issueProblems({ issue, requests, binding, usages }: CertificatePolicySpec): PolicyProblem[] {
  const takesPods =
    requests.kinds?.includes('PodCertificateRequest') ?? (requests.signerNames !== undefined && issue !== undefined)
  if (issue === undefined) {
    const wanted = requests.kinds?.includes('PodCertificateRequest') === true
    return wanted
      ? [{ at: ['issue'], message: 'is required for PodCertificateRequests, which ask for no names themselves' }]
      : []
  }
  const problems: PolicyProblem[] = []
  if (!takesPods)
    problems.push({ at: ['issue'], message: 'is for PodCertificateRequests, which this policy does not take' })
  if (binding === 'none' || binding === 'node')
    problems.push({ at: ['issue'], message: 'needs binding pod or serviceAccount' })
  if (issue.commonName === undefined && issue.dnsNames === undefined && issue.uris === undefined) {
    problems.push({ at: ['issue'], message: 'names nobody: give commonName, dnsNames or uris' })
  }
  for (const [index, usage] of issue.usages.entries()) {
    const isCa = usage === 'cert sign' || usage === 'crl sign' || usage === 'any'
    if (isCa) problems.push({ at: ['issue', 'usages', index], message: `"${usage}" is never issued` })
    else if (usages !== undefined && !usages.includes(usage)) {
      problems.push({ at: ['issue', 'usages', index], message: `"${usage}" is not among the usages of the policy` })
    }
  }
  return problems
}
