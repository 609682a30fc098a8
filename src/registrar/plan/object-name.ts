/** An object for people, by its key in the synchronisation: `Pod shop/web-0`, `Node worker-1`. */
export function objectName(key: string): string {
  const [kind = '', ...rest] = key.split('/')
  const name = rest.join('/')
  switch (kind) {
    case 'pod':
      return `Pod ${name}`
    case 'node':
      return `Node ${name}`
    case 'spiffeid':
      return `SpiffeID ${name}`
    case 'cluster':
      return 'all nodes'
    default:
      return 'no object'
  }
}
