import { createHash } from 'node:crypto'
import type { ObjectMeta } from '../kubernetes/object.ts'

/** Where the labels and annotations of our requests live. */
const domain = 'podpass.io'

/** The keys by which requests are found and known as ours. A label value holds 63 characters, so labels carry hashes. */
export const identityKeys = {
  nodeHash: `${domain}/node-hash`,
  volumeHash: `${domain}/volume-hash`,
  node: `${domain}/node`,
  volume: `${domain}/volume`,
  request: `${domain}/request`,
} as const

/** 128 bits of SHA-256 as 32 hexadecimal digits. */
export function identityHash(value: string): string {
  return createHash('sha256').update(value).digest('hex').slice(0, 32)
}

/** The labels and annotations that make a request ours. */
export function identityMetadata(
  nodeId: string,
  volumeId: string,
): Required<Pick<ObjectMeta, 'labels' | 'annotations'>> {
  return {
    labels: { [identityKeys.nodeHash]: identityHash(nodeId), [identityKeys.volumeHash]: identityHash(volumeId) },
    annotations: { [identityKeys.node]: nodeId, [identityKeys.volume]: volumeId },
  }
}

/** Selects the requests of one node. Other nodes may share the hash in theory, so {@link volumeOf} looks at the full ids. */
export function nodeSelector(nodeId: string): string {
  return `${identityKeys.nodeHash}=${identityHash(nodeId)}`
}

/**
 * The volume that a request of this node belongs to.
 *
 * @returns undefined for requests of others: they are never resumed, and never deleted
 */
export function volumeOf(metadata: ObjectMeta, nodeId: string): string | undefined {
  const annotations = metadata.annotations ?? {}
  return annotations[identityKeys.node] === nodeId ? annotations[identityKeys.volume] : undefined
}
