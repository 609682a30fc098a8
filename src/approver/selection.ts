import type { KubernetesObject } from '../kubernetes/object.ts'
import type { LiveObjects } from './live-objects.ts'
import { matchesPart } from './names/pattern.ts'
import type { CertificatePolicySpec, PolicySelector } from './policy/certificate-policy.ts'
import type { Policy } from './policy/policy.ts'
import { askedSigner, formatSigner, namespaceOfRequest, type RequestObject } from './request/request-object.ts'
import type { RequestKind } from './request/request-object.ts'
import type { Subject } from './subject.ts'

/** Whether a policy is for a request, and why not. Unknown where an object was not seen whose labels decide. */
export type Selection = { readonly is: 'yes' } | { readonly is: 'no' | 'unknown'; readonly why: string }

const yes: Selection = { is: 'yes' }

/** The kinds of request that a policy is for: those it names, else those that its signers and issuers have. */
export function kindsOf({ requests, issue }: CertificatePolicySpec): readonly RequestKind[] {
  if (requests.kinds !== undefined) return requests.kinds
  return [
    ...(requests.signerNames === undefined ? [] : (['CertificateSigningRequest'] as const)),
    ...(requests.issuers === undefined ? [] : (['CertificateRequest'] as const)),
    ...(requests.signerNames === undefined || issue === undefined ? [] : (['PodCertificateRequest'] as const)),
  ]
}

/** Whether a policy may be for a request, by kind and signer alone: what a request says without anything else being looked at. */
export function covers(spec: CertificatePolicySpec, request: RequestObject): boolean {
  return kindsOf(spec).includes(request.kind) && takesSigner(spec, request)
}

/** Whether a policy is for requests of pods to a signer. */
export function takesPodsOf(spec: CertificatePolicySpec, signerName: string): boolean {
  return kindsOf(spec).includes('PodCertificateRequest') && takesSignerName(spec, signerName)
}

/** Whether a policy is for a request: by its kind, its signer, its namespace and service account, and who made it. */
export function selects(policy: Policy, request: RequestObject, subject: Subject, live: LiveObjects): Selection {
  const { requests } = policy.spec
  if (!kindsOf(policy.spec).includes(request.kind)) return no(`it is not for a ${request.kind}`)
  if (!takesSigner(policy.spec, request)) return no(`it is not for ${formatSigner(askedSigner(request))}`)
  const namespace = namespaceOfRequest(request) ?? subject.namespace
  const account = subject.serviceAccount?.name
  // A driver's request names its pod by a volume; until the pod is seen, whose it is stays open.
  const isPending = subject.outcomes.some(({ result, nature }) => result === 'failed' && nature === 'extrinsic')
  const ofNamespace = bySelector(requests.namespaces, { what: 'namespace', name: namespace, isPending }, (name) =>
    live.namespace(name),
  )
  if (ofNamespace.is !== 'yes') return ofNamespace
  const ofAccount = bySelector(
    requests.serviceAccounts,
    { what: 'service account', name: account, isPending },
    (name) => live.serviceAccount(subject.namespace ?? '', name),
  )
  return ofAccount.is === 'yes' ? bySubjects(policy, request, subject, live) : ofAccount
}

function no(why: string): Selection {
  return { is: 'no', why }
}

function takesSignerName({ requests }: CertificatePolicySpec, signerName: string): boolean {
  const [domain] = signerName.split('/')
  return (requests.signerNames ?? []).some((name) => name === signerName || name === `${domain}/*`)
}

function takesSigner(spec: CertificatePolicySpec, request: RequestObject): boolean {
  const signer = askedSigner(request)
  if ('signerName' in signer) return takesSignerName(spec, signer.signerName)
  const { name, kind, group } = signer.issuer
  return (spec.requests.issuers ?? []).some(
    (issuer) =>
      matchesText(issuer.name, name) &&
      matchesText(issuer.kind ?? 'Issuer', kind) &&
      matchesText(issuer.group ?? 'cert-manager.io', group),
  )
}

/** An object that a policy may choose requests by. */
interface Selected {
  readonly what: string
  readonly name: string | undefined
  readonly isPending: boolean
}

function bySelector(
  selector: PolicySelector | undefined,
  { what, name, isPending }: Selected,
  find: (name: string) => KubernetesObject | undefined,
): Selection {
  if (selector === undefined) return yes
  if (name === undefined && isPending) return { is: 'unknown', why: `the ${what} of the subject is not known yet` }
  if (name === undefined) return no(`the subject has no ${what}`)
  const { names, matchLabels } = selector
  if (names !== undefined && !names.some((pattern) => matchesText(pattern, name)))
    return no(`it is not for ${what} ${name}`)
  if (matchLabels === undefined) return yes
  const object = find(name)
  if (object === undefined) return { is: 'unknown', why: `${what} ${name} was not seen, and its labels decide` }
  const { labels = {} } = object.metadata
  const missing = Object.entries(matchLabels).find(([key, value]) => labels[key] !== value)
  return missing === undefined ? yes : no(`${what} ${name} has not the label ${missing[0]}=${missing[1]}`)
}

/** Names of objects hold no asterisk, so one pattern serves for names and for all of them. */
function matchesText(pattern: string, text: string): boolean {
  return matchesPart(pattern, text)
}

function bySubjects(
  { name, spec: { subjects } }: Policy,
  request: RequestObject,
  { requester }: Subject,
  live: LiveObjects,
): Selection {
  if (subjects === undefined) return yes
  if (requester === undefined) return no('the request carries no requester, and the policy names subjects')
  const { username, groups, serviceAccount } = requester
  const isNamed =
    subjects.users?.includes(username) === true ||
    subjects.groups?.some((group) => groups.includes(group)) === true ||
    subjects.serviceAccounts?.some(
      (account) => account.namespace === serviceAccount?.namespace && account.name === serviceAccount.name,
    ) === true
  if (isNamed) return yes
  if (subjects.mayUse !== true) return no(`${username} is not among its subjects`)
  const mayUse = live.mayUse(name, request)
  if (mayUse === undefined) return { is: 'unknown', why: `whether ${username} may use it was not asked` }
  return mayUse ? yes : no(`RBAC does not let ${username} use it`)
}
