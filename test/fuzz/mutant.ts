import type { KeyObject } from 'node:crypto'
import { base64, managedRequest, podRequest, signingRequest } from '../../src/approver/fixtures/requests.ts'
import type { RequestKind, RequestObject } from '../../src/approver/request/request-object.ts'
import { tag } from '../../src/x509/der-reader.ts'
import { encode, encoded, sequence } from '../../src/x509/der-writer.ts'
import { encodePem } from '../../src/x509/pem.ts'
import { signStructure } from '../../src/x509/signature.ts'
import { type DerNode, parent, treeOf, valuesOf, writeTree } from './der-tree.ts'
import { contentMutations, mutations } from './mutations.ts'
import { type Random, seededRandom } from './random.ts'
import { keys, type SeedRequest, seedRequests, seedsOfUsualKey, usages } from './seed-requests.ts'

/** A request that began as a good one. */
export interface Mutant {
  readonly request: RequestObject
  /** As the object holds it, base64 apart: PEM, or DER for a PodCertificateRequest. */
  readonly bytes: Uint8Array
  /** What was done to it. */
  readonly changes: readonly string[]
}

const label = 'CERTIFICATE REQUEST'
const kinds: readonly RequestKind[] = [
  'CertificateSigningRequest',
  'CertificateSigningRequest',
  'CertificateRequest',
  'PodCertificateRequest',
]

/**
 * The mutant of a number. Most are signed again after they were changed, so that what comes behind the signature is reached; the
 * others are changed in their last form, as somebody on the way could.
 */
export function mutant(seed: number, index: number): Mutant {
  const random = seededRandom(seed, index)
  const changes: string[] = []
  const kind = random.pick(kinds)
  const signed = signedBytes(random, changes)
  const der = random.oneIn(12) ? damaged(signed, random, changes) : signed
  if (kind === 'PodCertificateRequest') {
    return { request: podRequest({}, { stubPKCS10Request: der.toBase64() }), bytes: der, changes }
  }
  const good = encodePem(label, der)
  const csr = random.oneIn(10) ? damagedPem(good, random, changes) : good
  const spec = { request: base64(csr), usages }
  const request = kind === 'CertificateRequest' ? managedRequest({}, spec) : signingRequest({}, spec)
  return { request, bytes: Buffer.from(csr, 'latin1'), changes }
}

const mutationNames = Object.keys(mutations)

function signedBytes(random: Random, changes: string[]): Uint8Array {
  const { der, key } = seedOf(random)
  const [info] = valuesOf(treeOf(der))
  if (info === undefined) throw new TypeError('a seed is no request')
  for (let count = 1 + random.below(random.oneIn(4) ? 5 : 2); count > 0; count--) {
    const name = random.oneIn(2) ? random.pick(mutationNames) : random.pick(contentMutations)
    mutations[name]?.(info, random)
    changes.push(name)
  }
  return signed(info, random.oneIn(40) ? random.pick(keys) : key, random, changes)
}

function seedOf(random: Random): SeedRequest {
  return random.oneIn(12) ? random.pick(seedRequests) : random.pick(seedRequests.slice(0, seedsOfUsualKey))
}

/** Some have an envelope that is mutated as well: the algorithm, the signature, and how they stand together. */
function signed(info: DerNode, key: KeyObject, random: Random, changes: string[]): Uint8Array {
  const content = writeTree(info)
  const der = signStructure(encoded(content), key)
  if (!random.oneIn(15)) return der
  const header = (der[1] ?? 0) < 0x80 ? 2 : 2 + ((der[1] ?? 0) & 0x7f)
  const [algorithm, signature] = valuesOf(treeOf(encode(sequence(encoded(der.subarray(header + content.length))))))
  if (algorithm === undefined || signature === undefined) throw new TypeError('a request has no signature')
  const envelope = parent(tag.sequence, info, algorithm, signature)
  const name = random.pick(mutationNames)
  mutations[name]?.(envelope, random)
  changes.push(`${name}, outside too`)
  return writeTree(envelope)
}

/** Changes bytes wherever they are. */
function damaged(der: Uint8Array, random: Random, changes: string[]): Uint8Array {
  const at = random.below(der.length)
  const [name, bytes] = random.pick([
    ['flip a bit anywhere', der.with(at, (der[at] ?? 0) ^ (1 << random.below(8)))],
    ['cut the end off', der.subarray(0, at)],
    ['cut the beginning off', der.subarray(at)],
    ['put bytes behind it', Buffer.concat([der, Buffer.alloc(1 + random.below(4), random.below(256))])],
    ['put it there twice', Buffer.concat([der, der])],
    ['drop a byte anywhere', Buffer.concat([der.subarray(0, at), der.subarray(at + 1)])],
  ] as const)
  changes.push(name)
  return bytes
}

const oddLines = [
  '',
  ' ',
  '\t',
  '\r',
  '\v',
  '\f',
  '\xa0',
  '\0',
  '=',
  '-',
  'A',
  '\xe9',
  'Proc-Type: 4,ENCRYPTED',
  '-----',
  `-----BEGIN ${label}-----`,
]

/** Changes the text around the bytes (RFC 7468 §2, §3). */
function damagedPem(pem: string, random: Random, changes: string[]): string {
  const lines = pem.split('\n')
  const at = random.below(lines.length)
  const line = lines[at] ?? ''
  const within = random.below(line.length + 1)
  const [name, text] = random.pick([
    ['end lines as Windows does', lines.join('\r\n')],
    ['end no line', pem.trimEnd()],
    ['write one long line', [lines[0], lines.slice(1, -2).join(''), lines.at(-2), ''].join('\n')],
    ['break a line', lines.with(at, `${line.slice(0, within)}\n${line.slice(within)}`).join('\n')],
    [
      'put something into a line',
      lines.with(at, line.slice(0, within) + random.pick(oddLines) + line.slice(within)).join('\n'),
    ],
    ['put something behind a line', lines.with(at, line + random.pick(oddLines)).join('\n')],
    ['put something before a line', lines.with(at, random.pick(oddLines) + line).join('\n')],
    ['add a line', lines.toSpliced(at, 0, random.pick(oddLines)).join('\n')],
    ['drop a line', lines.toSpliced(at, 1).join('\n')],
    [
      'write the label otherwise',
      pem.replaceAll(label, random.pick(['NEW CERTIFICATE REQUEST', 'CERTIFICATE', label.toLowerCase()])),
    ],
    ['write the block twice', pem + pem],
    [
      'change a character',
      lines
        .with(at, line.slice(0, within) + random.pick(['-', '_', '+', '=', 'A', '*']) + line.slice(within + 1))
        .join('\n'),
    ],
  ] as const)
  changes.push(name)
  return text
}
