import { X509Certificate } from 'node:crypto'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { Client, credentials } from '@grpc/grpc-js'
import type { Selector } from '../../src/spire/entry.ts'
import {
  DelegatedIdentity,
  type SubscribeToX509SVIDsResponse,
} from '../gen/spire/api/agent/delegatedidentity/v1/delegatedidentity_pb.ts'

/** An X.509-SVID that a workload gets. */
export interface WorkloadIdentity {
  readonly spiffeId: string
  /** In the order of the certificate. */
  readonly dnsNames: readonly string[]
  /** The leaf. */
  readonly certificate: X509Certificate
  /** Names of the trust domains whose bundles come with it. */
  readonly federatesWith: readonly string[]
}

/**
 * Asks an agent's Delegated Identity API what a workload gets.
 *
 * @param socket - the agent's `admin_socket_path`; its delegates are known by their process
 * @param selectors - all that the workload shows
 * @param deadline - epoch milliseconds
 * @returns what it gets now, maybe nothing, and again after each change
 * @throws {ServiceError} PERMISSION_DENIED for whom the agent does not know as a delegate, or not yet
 */
export async function* subscribeToIdentities(
  socket: string,
  selectors: readonly Selector[],
  deadline: number,
): AsyncGenerator<readonly WorkloadIdentity[]> {
  const method = DelegatedIdentity.method.subscribeToX509SVIDs
  const client = new Client(`unix:${socket}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 })
  try {
    const answers: AsyncIterable<SubscribeToX509SVIDsResponse> = client.makeServerStreamRequest(
      `/${method.parent.typeName}/${method.name}`,
      (request) => Buffer.from(toBinary(method.input, request)),
      (bytes) => fromBinary(method.output, bytes),
      create(method.input, { selectors: [...selectors] }),
      { deadline },
    )
    for await (const { x509Svids, federatesWith } of answers) {
      const trustDomains = federatesWith.map((id) => id.replace('spiffe://', ''))
      yield x509Svids.flatMap(({ x509Svid }) => {
        const leaf = x509Svid?.certChain[0]
        return leaf === undefined ? [] : [identity(new X509Certificate(leaf), trustDomains)]
      })
    }
  } finally {
    client.close()
  }
}

function identity(certificate: X509Certificate, federatesWith: readonly string[]): WorkloadIdentity {
  const names = (certificate.subjectAltName ?? '').split(', ')
  const ofKind = (kind: string): readonly string[] =>
    names.filter((name) => name.startsWith(`${kind}:`)).map((name) => name.slice(kind.length + 1))
  return { spiffeId: ofKind('URI')[0] ?? '', dnsNames: ofKind('DNS'), certificate, federatesWith }
}
