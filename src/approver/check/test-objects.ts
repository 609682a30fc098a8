import type { KubernetesObject, Pod } from '../../kubernetes/object.ts'

/** What a policy's test leaves out of its pods, because it does not matter to it. */
const testNode = 'node'

/** A name as tests write it: `namespace/name`, or a name alone in the namespace `default`. */
export function splitName(text: string): { readonly namespace: string; readonly name: string } {
  const [first = '', second] = text.split('/')
  return second === undefined ? { namespace: 'default', name: first } : { namespace: first, name: second }
}

/**
 * The objects of a test, made whole: what has no namespace is in `default`, pods and service accounts have a UID and pods a node. The
 * pod that asks is there even where the test does not show it.
 *
 * @param pod - `namespace/name` of the pod that asks
 * @param serviceAccount - what it runs as, where the test does not show it
 */
export function testObjects(
  objects: readonly Partial<KubernetesObject>[],
  pod: string | undefined,
  serviceAccount: string | undefined,
): KubernetesObject[] {
  const shown = objects.map(complete)
  if (pod === undefined) return shown
  const { namespace, name } = splitName(pod)
  const isShown = shown.some(
    ({ kind, metadata }) => kind === 'Pod' && metadata.namespace === namespace && metadata.name === name,
  )
  if (isShown) return shown
  const account = serviceAccount === undefined ? undefined : splitName(serviceAccount).name
  const asking: Pod = { kind: 'Pod', metadata: { namespace, name }, spec: { serviceAccountName: account ?? 'default' } }
  return [...shown, complete(asking)]
}

const clusterScoped: ReadonlySet<string> = new Set(['Namespace', 'Node'])

function complete(object: Partial<KubernetesObject>): KubernetesObject {
  const { kind = '', metadata = {} } = object
  const namespace = metadata.namespace ?? 'default'
  const uid = metadata.uid ?? `uid-of-${namespace}-${metadata.name ?? ''}`
  if (clusterScoped.has(kind)) return { ...object, metadata: { ...metadata, uid } }
  const whole = { ...object, metadata: { ...metadata, namespace, uid } }
  if (kind !== 'Pod') return whole
  const { spec = {} } = object as Pod
  return { ...whole, spec: { serviceAccountName: 'default', nodeName: testNode, ...spec } } as Pod
}
