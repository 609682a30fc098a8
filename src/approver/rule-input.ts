import type { KubernetesObject } from '../kubernetes/object.ts'
import type { LiveObjects } from './live-objects.ts'
import type { AskedCertificate } from './request/asked-certificate.ts'
import { askedSigner, type RequestObject } from './request/request-object.ts'
import type { RuleInput, RuleValue } from './rule/rule.ts'
import type { Subject } from './subject.ts'

/** The variables of a policy's expressions for one request. What is not known is left out, and whoever looks at it does not pass. */
export function ruleInput(
  request: RequestObject,
  asked: AskedCertificate,
  subject: Subject,
  live: LiveObjects,
): RuleInput {
  const { namespace, serviceAccount, livePod } = subject
  const account =
    namespace === undefined || serviceAccount === undefined
      ? undefined
      : live.serviceAccount(namespace, serviceAccount.name)
  const space = namespace === undefined ? undefined : live.namespace(namespace)
  return {
    request: requestValue(request, asked, subject),
    ...(livePod !== undefined && {
      pod: values({
        ...written(livePod),
        namespace: livePod.metadata.namespace ?? '',
        uid: livePod.metadata.uid ?? '',
        nodeName: livePod.spec?.nodeName ?? '',
        hostNetwork: livePod.spec?.hostNetwork ?? false,
      }),
    }),
    ...(account !== undefined && { serviceAccount: values({ ...written(account), namespace: namespace ?? '' }) }),
    ...(space !== undefined && { namespaceObject: values(written(space)) }),
  }
}

function requestValue(
  request: RequestObject,
  asked: AskedCertificate,
  subject: Subject,
): ReadonlyMap<string, RuleValue> {
  const signer = askedSigner(request)
  const issuer = 'issuer' in signer ? signer.issuer : { name: '', kind: '', group: '' }
  const { commonNames, serialNumbers, ...lists } = asked.names
  return values({
    ...lists,
    kind: request.kind,
    name: request.object.metadata.name ?? '',
    namespace: request.object.metadata.namespace ?? subject.namespace ?? '',
    username: subject.requester?.username ?? '',
    groups: subject.requester?.groups ?? [],
    signerName: 'signerName' in signer ? signer.signerName : '',
    issuerName: issuer.name,
    issuerKind: issuer.kind,
    issuerGroup: issuer.group,
    commonName: commonNames[0] ?? '',
    serialNumber: serialNumbers[0] ?? '',
    usages: asked.usages,
    keyAlgorithm: asked.key.algorithm,
    keySize: BigInt('size' in asked.key ? asked.key.size : 256),
    durationSeconds: BigInt(Math.trunc((asked.duration ?? 0) / 1000)),
  })
}

function written({ metadata }: KubernetesObject): Record<string, RuleValue> {
  return {
    name: metadata.name ?? '',
    labels: values(metadata.labels ?? {}),
    annotations: values(metadata.annotations ?? {}),
  }
}

/** A Map, since an object's own keys may be anything, `constructor` too. */
function values(entries: Readonly<Record<string, RuleValue>>): ReadonlyMap<string, RuleValue> {
  return new Map(Object.entries(entries))
}
