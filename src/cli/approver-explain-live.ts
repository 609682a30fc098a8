import { KeyLedger } from '../approver/key-ledger.ts'
import { type LiveObjects, liveObjectsOf } from '../approver/live-objects.ts'
import { endOfLeaf, grantedKey, supposedEnd } from '../approver/live/granted-keys.ts'
import { Lookups, podsOf } from '../approver/live/lookups.ts'
import { readPolicyObject } from '../approver/live/read-policy-document.ts'
import { certificatePolicies, namespaces, nodes, serviceAccounts, services } from '../approver/live/resources.ts'
import { track } from '../approver/live/tracked-request.ts'
import type { PolicyLimits } from '../approver/policy/policy-problems.ts'
import type { LoadedPolicies } from '../approver/policy/load-policies.ts'
import { namespaceOfRequest, type RequestKind, type RequestObject } from '../approver/request/request-object.ts'
import { requesterOf } from '../approver/requester.ts'
import type { Drivers } from '../approver/subject.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { ApiError } from '../kubernetes/errors.ts'
import type { KubernetesObject, ObjectName } from '../kubernetes/object.ts'
import {
  certificateRequests,
  certificateSigningRequests,
  podCertificateRequests,
  pods,
  type Resource,
} from '../kubernetes/resource.ts'

/** A request in a cluster, as its user names it. */
export interface RequestReference extends ObjectName {
  readonly kind: RequestKind
}

const kindWords: readonly (readonly [RequestKind, RegExp, Resource])[] = [
  ['CertificateSigningRequest', /^(?:csr|certificatesigningrequests?)$/i, certificateSigningRequests],
  ['CertificateRequest', /^(?:cr|certificaterequests?)(?:\.cert-manager\.io)?$/i, certificateRequests],
  ['PodCertificateRequest', /^(?:pcr|podcertificaterequests?)$/i, podCertificateRequests],
]

/**
 * Reads `csr/NAME`, `certificaterequest/NAMESPACE/NAME` or `podcertificaterequest/NAMESPACE/NAME`.
 *
 * @returns undefined for anything else, such as the path of a file
 */
export function parseRequestReference(text: string): RequestReference | undefined {
  const [word = '', ...rest] = text.split('/')
  const found = kindWords.find(([, pattern]) => pattern.test(word))
  if (found === undefined || rest.includes('')) return undefined
  const [kind, , { namespaced }] = found
  const [first, second] = rest
  if (!namespaced) return first !== undefined && rest.length === 1 ? { kind, name: first } : undefined
  return first !== undefined && second !== undefined && rest.length === 2
    ? { kind, namespace: first, name: second }
    : undefined
}

type Reader = Pick<KubernetesClient, 'get' | 'list' | 'create'>

/** @throws {ApiError} 404 where there is no such request */
export async function readLiveRequest(
  client: Reader,
  { kind, namespace, name }: RequestReference,
  signal: AbortSignal,
): Promise<RequestObject> {
  const resource = kindWords.find(([one]) => one === kind)?.[2] ?? certificateSigningRequests
  // The resource says of what type its objects are.
  return { kind, object: await client.get(resource, { namespace, name }, { signal }) } as RequestObject
}

/** The CertificatePolicies of a cluster, and what is wrong with them. */
export async function readLivePolicies(
  client: Reader,
  limits: PolicyLimits,
  signal: AbortSignal,
): Promise<LoadedPolicies> {
  const { items } = await client.list(certificatePolicies, { signal })
  const readings = await Promise.all(items.map((object) => readPolicyObject(object, limits)))
  return {
    policies: readings.flatMap(({ policy }) => policy ?? []),
    problems: readings.flatMap(({ problems }) => problems),
  }
}

/** What of a cluster the decision of one request looks at. */
export interface Surroundings {
  readonly live: LiveObjects
  readonly lookups: Lookups
  readonly ledger: KeyLedger
}

/** Reads what a request's decision rests on: pods, their namespace and node, and whose keys all other requests have. */
export async function readSurroundings(
  client: Reader,
  request: RequestObject,
  drivers: Drivers,
  now: number,
  signal: AbortSignal,
): Promise<Surroundings> {
  const requester = requesterOf(request)
  const node = requester?.node
  const onNode =
    node !== undefined && drivers.identities.includes(requester?.username ?? '')
      ? await listAll(client, pods, { fieldSelector: `spec.nodeName=${node}` }, signal)
      : []
  const subjects = podsOf(request, liveObjectsOf(onNode), drivers)
  const spaces = [
    namespaceOfRequest(request),
    requester?.serviceAccount?.namespace,
    ...subjects.map((pod) => pod.namespace),
  ]
  const read = await Promise.all([
    ...[...new Set(spaces.filter((space) => space !== undefined))].flatMap((namespace) => [
      listAll(client, services, { namespace }, signal),
      listAll(client, serviceAccounts, { namespace }, signal),
      getOne(client, namespaces, { name: namespace }, signal),
    ]),
    ...(node === undefined ? [] : [getOne(client, nodes, { name: node }, signal)]),
  ])
  const lookups = new Lookups(client, request)
  lookups.want(subjects)
  await lookups.read(signal)
  const live = liveObjectsOf([...onNode, ...read.flat()])
  return { live, lookups, ledger: await readLedger(client, request, live, drivers, now, signal) }
}

/** Whose keys are, as all requests of the cluster tell it. */
async function readLedger(
  client: Reader,
  { object: { metadata } }: RequestObject,
  live: LiveObjects,
  drivers: Drivers,
  now: number,
  signal: AbortSignal,
): Promise<KeyLedger> {
  const ledger = new KeyLedger()
  for (const [kind, , resource] of kindWords) {
    for (const object of await listAll(client, resource, {}, signal)) {
      const request = { kind, object } as RequestObject
      const end = endOfLeaf(request)
      const isGranted = end !== undefined || track(request, now).approval !== undefined
      if (!isGranted || object.metadata.uid === metadata.uid) continue
      const key = grantedKey(request, live, drivers)
      if (key !== undefined) ledger.claim(key.keyHash, key.owner, end ?? supposedEnd(undefined, now), now)
    }
  }
  return ledger
}

/** @returns nothing for a kind that the cluster does not have */
async function listAll<T extends KubernetesObject>(
  client: Reader,
  resource: Resource<T>,
  selection: { readonly namespace?: string; readonly fieldSelector?: string },
  signal: AbortSignal,
): Promise<readonly KubernetesObject[]> {
  try {
    const { items } = await client.list(resource, { ...selection, signal })
    // Items of a list come without their kind.
    return items.map((item) => Object.assign(item, { kind: resource.kind }))
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return []
    throw error
  }
}

async function getOne(
  client: Reader,
  resource: Resource,
  name: ObjectName,
  signal: AbortSignal,
): Promise<readonly KubernetesObject[]> {
  try {
    return [{ ...(await client.get(resource, name, { signal })), kind: resource.kind }]
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return []
    throw error
  }
}
