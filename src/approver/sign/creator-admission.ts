import type { KubernetesClient } from '../../kubernetes/client.ts'
import { ApiError } from '../../kubernetes/errors.ts'
import type { KubernetesObject } from '../../kubernetes/object.ts'
import type { Resource } from '../../kubernetes/resource.ts'

/** admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy, as far as ours has fields. */
export interface AdmissionPolicy extends KubernetesObject {
  readonly spec?: {
    readonly failurePolicy?: string
    readonly paramKind?: unknown
    readonly matchConstraints?: {
      readonly matchPolicy?: string
      readonly namespaceSelector?: object
      readonly objectSelector?: object
      readonly excludeResourceRules?: readonly unknown[]
      readonly resourceRules?: readonly AdmissionRule[]
    }
    readonly matchConditions?: readonly { readonly name: string; readonly expression: string }[]
    readonly variables?: readonly unknown[]
    readonly validations?: readonly { readonly expression: string }[]
  }
}

interface AdmissionRule {
  readonly apiGroups?: readonly string[]
  readonly apiVersions?: readonly string[]
  readonly operations?: readonly string[]
  readonly resources?: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly scope?: string
}

/** admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding. */
export interface AdmissionBinding extends KubernetesObject {
  readonly spec?: {
    readonly policyName?: string
    readonly paramRef?: unknown
    readonly matchResources?: object
    readonly validationActions?: readonly string[]
  }
}

const group = { group: 'admissionregistration.k8s.io', version: 'v1', namespaced: false } as const

export const admissionPolicies: Resource<AdmissionPolicy> = {
  ...group,
  plural: 'validatingadmissionpolicies',
  kind: 'ValidatingAdmissionPolicy',
}

export const admissionBindings: Resource<AdmissionBinding> = {
  ...group,
  plural: 'validatingadmissionpolicybindings',
  kind: 'ValidatingAdmissionPolicyBinding',
}

/** The name of both objects in deploy/approver/admission.yaml. */
export const admissionName = 'podpass-pod-certificate-requests'

/** The rule itself: a kubelet asks for the pods of its own node, and nobody else asks for any. */
export const creatorRule = "request.userInfo.username == 'system:node:' + object.spec.nodeName"

/** How long the API servers may take to obey a new policy, in milliseconds. */
const settling = 5_000

/**
 * Why the creators of PodCertificateRequests for a signer are not bound to their nodes, for people; undefined where they are.
 *
 * A request does not say who created it, so whoever may create one could have the certificate of any pod. Expressions cannot be compared
 * by their meaning, so only what deploy/approver/admission.yaml says counts, with any list of signers that has ours.
 */
export function admissionObstacle(
  signerName: string,
  policy: AdmissionPolicy | undefined,
  binding: AdmissionBinding | undefined,
): string | undefined {
  const advice = 'apply deploy/approver/admission.yaml with this signer in its list, or say --trust-pcr-creators'
  const problem = policyProblem(signerName, policy) ?? bindingProblem(binding)
  return problem && `pods get no certificates from ${signerName}: ${problem}; ${advice}`
}

function policyProblem(signerName: string, policy: AdmissionPolicy | undefined): string | undefined {
  const what = `ValidatingAdmissionPolicy ${admissionName}`
  if (policy === undefined) return `there is no ${what}`
  const { spec = {} } = policy
  if (policy.metadata.deletionTimestamp !== undefined) return `${what} is being deleted`
  // Fail is the API server's own default, which it writes into the object.
  if (spec.failurePolicy !== 'Fail') return `${what} does not have failurePolicy: Fail`
  if (spec.paramKind !== undefined) return `${what} depends on parameters`
  if (!matchesAll(spec.matchConstraints)) return `${what} does not match every creation of a PodCertificateRequest`
  const conditions = spec.matchConditions ?? []
  const isOurs = conditions.every(({ expression }) => namesSigner(expression, signerName))
  if (conditions.length > 1 || !isOurs) return `${what} is not for ${signerName}`
  if (!(spec.validations ?? []).some(({ expression }) => expression.trim() === creatorRule)) {
    return `${what} does not have the validation ${creatorRule}`
  }
  return undefined
}

function matchesAll(constraints: NonNullable<AdmissionPolicy['spec']>['matchConstraints']): boolean {
  const { matchPolicy, namespaceSelector, objectSelector, excludeResourceRules, resourceRules } = constraints ?? {}
  // Another version of the API must not be a way around it.
  if (matchPolicy !== 'Equivalent') return false
  if ((excludeResourceRules ?? []).length > 0 || !isEmpty(namespaceSelector) || !isEmpty(objectSelector)) return false
  return (resourceRules ?? []).some(
    ({ apiGroups, apiVersions, operations, resources, resourceNames, scope = '*' }) =>
      has(apiGroups, 'certificates.k8s.io') &&
      has(apiVersions, 'v1') &&
      has(operations, 'CREATE') &&
      (resources ?? []).includes('podcertificaterequests') &&
      (resourceNames ?? []).length === 0 &&
      (scope === '*' || scope === 'Namespaced'),
  )
}

function has(list: readonly string[] | undefined, wanted: string): boolean {
  return (list ?? []).some((one) => one === wanted || one === '*')
}

function isEmpty(selector: object | undefined): boolean {
  return selector === undefined || Object.keys(selector).length === 0
}

const signerList = /^\s*object\.spec\.signerName\s+in\s+\[((?:\s*'[^'"\\]*'\s*,?)+)\]\s*$/

function namesSigner(expression: string, signerName: string): boolean {
  const [, list = ''] = signerList.exec(expression) ?? []
  return list.split(',').some((item) => item.trim() === `'${signerName}'`)
}

function bindingProblem(binding: AdmissionBinding | undefined): string | undefined {
  const what = `ValidatingAdmissionPolicyBinding ${admissionName}`
  if (binding === undefined) return `there is no ${what}`
  const { policyName, paramRef, matchResources, validationActions = [] } = binding.spec ?? {}
  if (binding.metadata.deletionTimestamp !== undefined) return `${what} is being deleted`
  if (policyName !== admissionName) return `${what} binds another policy`
  if (!validationActions.includes('Deny')) return `${what} denies nothing`
  if (paramRef !== undefined || !isUnlimited(matchResources)) return `${what} does not bind everywhere`
  return undefined
}

/** The API server writes its defaults into `matchResources`: selectors that take everything. */
function isUnlimited(matchResources: object | undefined): boolean {
  return Object.entries(matchResources ?? {}).every(
    ([key, value]) => key === 'matchPolicy' || (typeof value === 'object' && isEmpty(value as object)),
  )
}

/**
 * Whether a request was created under the rule: reads policy and binding as they are now, and wants them older than the request.
 *
 * @returns why not, for people; undefined where it was
 * @throws {ApiError | ConnectionError} where they cannot be read, also for want of rights
 */
export async function creatorObstacle(
  client: Pick<KubernetesClient, 'get'>,
  { metadata, spec }: KubernetesObject & { readonly spec: { readonly signerName: string } },
  signal: AbortSignal,
): Promise<string | undefined> {
  const [policy, binding] = await Promise.all([
    find(client, admissionPolicies, signal),
    find(client, admissionBindings, signal),
  ])
  const obstacle = admissionObstacle(spec.signerName, policy, binding)
  if (obstacle !== undefined) return obstacle
  const since = Math.max(createdAt(policy), createdAt(binding)) + settling
  return Date.parse(metadata.creationTimestamp ?? '') >= since
    ? undefined
    : 'the request is older than the admission policy that binds its creator; the kubelet makes another after 15 minutes'
}

function createdAt(object: KubernetesObject | undefined): number {
  return Date.parse(object?.metadata.creationTimestamp ?? '')
}

async function find<T extends KubernetesObject>(
  client: Pick<KubernetesClient, 'get'>,
  resource: Resource<T>,
  signal: AbortSignal,
): Promise<T | undefined> {
  try {
    return await client.get(resource, { name: admissionName }, { signal })
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined
    throw error
  }
}
