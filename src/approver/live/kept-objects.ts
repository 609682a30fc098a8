import type { KubernetesObject, Pod } from '../../kubernetes/object.ts'
import type { Node, Service } from '../live-objects.ts'

/**
 * What is kept of a pod: where it is, as whom it runs, and which of our volumes it has, which is how a driver's request is found to be
 * for it. Everything else is read live before a decision, so that a hundred thousand pods stay small.
 */
export function keptPod({ metadata, spec }: Pod, driverNames: readonly string[]): Pod {
  const { namespace = '', name = '', uid = '' } = metadata
  const volumes = (spec?.volumes ?? []).flatMap(({ name, csi }) =>
    csi !== undefined && driverNames.includes(csi.driver) ? [{ name, csi: { driver: csi.driver } }] : [],
  )
  return {
    metadata: { namespace, name, uid },
    spec: {
      ...(spec?.nodeName !== undefined && { nodeName: spec.nodeName }),
      ...(spec?.serviceAccountName !== undefined && { serviceAccountName: spec.serviceAccountName }),
      ...(volumes.length > 0 && { volumes }),
    },
  }
}

/** What names depend on. */
export function keptService({ metadata, spec = {} }: Service): Service {
  const { namespace = '', name = '', deletionTimestamp } = metadata
  const { type, selector, clusterIP, clusterIPs } = spec
  return {
    metadata: { namespace, name, ...(deletionTimestamp !== undefined && { deletionTimestamp }) },
    spec: {
      ...(type !== undefined && { type }),
      ...(selector !== undefined && { selector }),
      ...(clusterIP !== undefined && { clusterIP }),
      ...(clusterIPs !== undefined && { clusterIPs }),
    },
  }
}

/** A node's addresses; its heartbeat changes far more often. */
export function keptNode({ metadata, status }: Node): Node {
  const addresses = (status?.addresses ?? []).map(({ type, address }) => ({ type, address }))
  return { metadata: { name: metadata.name ?? '', uid: metadata.uid ?? '' }, status: { addresses } }
}

/** Of namespaces and service accounts, what policies choose by, templates and expressions look at. */
export function keptMetadata({ metadata }: KubernetesObject): KubernetesObject {
  const { namespace, name = '', uid = '', labels, annotations } = metadata
  return {
    metadata: {
      name,
      uid,
      ...(namespace !== undefined && { namespace }),
      ...(labels !== undefined && { labels }),
      ...(annotations !== undefined && { annotations: withoutLastApplied(annotations) }),
    },
  }
}

/** kubectl's copy of the whole object. */
const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration'

function withoutLastApplied(annotations: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const { [lastApplied]: _, ...rest } = annotations
  return rest
}
