import type { KeyUsage } from '../x509/key-usage.ts'
import { shakeHands } from './handshake.ts'
import type { Credentials } from './pod-view.ts'
import { type Meeting, type PublishedVolume, stranger } from './step.ts'
import { makeStranger } from './stranger.ts'

/** Two volumes whose pods can talk by mutual TLS. */
export interface Pair {
  readonly client: PublishedVolume
  readonly server: PublishedVolume
}

/** The usages that say what a certificate is for (extended key usage); one that has none of them is for anything. */
const purposes: ReadonlySet<KeyUsage> = new Set<KeyUsage>([
  'any',
  'server auth',
  'client auth',
  'code signing',
  'email protection',
  's/mime',
  'ipsec end system',
  'ipsec tunnel',
  'ipsec user',
  'timestamping',
  'ocsp signing',
  'microsoft sgc',
  'netscape sgc',
])

/**
 * Chooses who calls whom: two different pods where there are two, whose certificates come from one issuer and may be used so;
 * else a pod and itself.
 *
 * @returns the reason, for people, where nobody can
 */
export function choosePair(volumes: readonly PublishedVolume[]): Pair | string {
  const clients = volumes.filter((volume) => allows(volume, 'client auth'))
  const servers = volumes.filter((volume) => allows(volume, 'server auth'))
  const pairs = clients.flatMap((client) => servers.map((server) => ({ client, server })))
  const friends = pairs.filter((pair) => issuerOf(pair.client) === issuerOf(pair.server))
  const [best] = [...friends.filter(({ client, server }) => podOf(client) !== podOf(server)), ...friends]
  if (best !== undefined) return best
  if (clients.length === 0) return 'no certificate may be used as a client: none has the usage client auth'
  if (servers.length === 0) return 'no certificate may be used as a server: none has the usage server auth'
  return 'clients and servers have certificates of different issuers'
}

/** `namespace/pod` of a volume. */
export function podOf({ planned: { pod } }: PublishedVolume): string {
  return `${pod.namespace}/${pod.name}`
}

/** Has two pods talk, each with what its volume holds now. */
export async function meetPeers({ client, server }: Pair, kind: 'peers' | 'renewed peers'): Promise<Meeting> {
  const expected = server.view.leaf
  const outcome = await shakeHands(
    { credentials: client.view.credentials },
    { credentials: server.view.credentials },
    expected,
  )
  const asExpected = outcome.client.ended === 'agreed' && outcome.server.ended === 'agreed'
  return { kind, client: podOf(client), server: podOf(server), outcome, asExpected }
}

/**
 * Has a stranger call the server, with the client's names and no scruple whom it talks to, and then wait in the server's place
 * for the client.
 *
 * @param now - epoch milliseconds
 */
export async function meetStranger({ client, server }: Pair, now: number): Promise<Meeting[]> {
  const anyone = (credentials: Credentials) => ({ credentials, trustsAnyone: true })
  const calls = await shakeHands(
    anyone(await makeStranger(client.view.leaf, now)),
    { credentials: server.view.credentials },
    server.view.leaf,
  )
  const answers = await shakeHands(
    { credentials: client.view.credentials },
    anyone(await makeStranger(server.view.leaf, now)),
    server.view.leaf,
  )
  return [
    {
      kind: 'stranger calls',
      client: stranger,
      server: podOf(server),
      outcome: calls,
      asExpected: calls.server.ended === 'refused' && calls.client.ended !== 'agreed',
    },
    {
      kind: 'stranger answers',
      client: podOf(client),
      server: stranger,
      outcome: answers,
      asExpected: answers.client.ended === 'refused' && answers.server.ended !== 'agreed',
    },
  ]
}

function allows({ view: { leaf } }: PublishedVolume, purpose: KeyUsage): boolean {
  const named = leaf.usages.filter((usage) => purposes.has(usage))
  return named.length === 0 || named.includes(purpose) || named.includes('any')
}

function issuerOf({ planned: { spec } }: PublishedVolume): string {
  return JSON.stringify(spec.issuer)
}
