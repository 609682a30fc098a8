/** What the registrar keeps entries for, as the keys of its synchronisation name it. */
export type KeyedObject =
  | { readonly kind: 'pod'; readonly namespace: string; readonly name: string }
  | { readonly kind: 'node'; readonly name: string }
  /** The alias that stands for every node. */
  | { readonly kind: 'cluster' }
  /** An entry of the registrar's that says of no object that it belongs to it. */
  | { readonly kind: 'entry'; readonly id: string }

/** The key of the alias that stands for every node. */
export const clusterKey = 'cluster'

export function podKey(namespace: string, name: string): string {
  return `pod/${namespace}/${name}`
}

export function nodeKey(name: string): string {
  return `node/${name}`
}

/** The key of an entry that belongs to no object. */
export function orphanKey(id: string): string {
  return `entry/${id}`
}

/** Reads a key that one of the functions above has made. Names and ids hold no slash. */
export function parseKey(key: string): KeyedObject {
  const [kind = '', first = '', second = ''] = key.split('/')
  switch (kind) {
    case 'pod':
      return { kind, namespace: first, name: second }
    case 'node':
      return { kind, name: first }
    case 'cluster':
      return { kind }
    default:
      return { kind: 'entry', id: first }
  }
}
