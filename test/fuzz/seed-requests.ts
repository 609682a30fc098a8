import { createECDH, createHash, createPrivateKey, type KeyObject } from 'node:crypto'
import { createCertificateRequest, type RequestContent } from '../../src/x509/certificate-request.ts'
import { basicConstraints, usageExtensions } from '../../src/x509/extensions.ts'
import { noNames } from '../../src/x509/general-names.ts'
import { generateKeySync } from '../../src/x509/key.ts'
import type { KeyUsage } from '../../src/x509/key-usage.ts'
import { buildSubject } from '../../src/x509/name.ts'
import { decodePem } from '../../src/x509/pem.ts'

/** The usages beside the mutated requests; inside, where they stand, they must be the same. */
export const usages: readonly KeyUsage[] = ['digital signature', 'key encipherment', 'server auth', 'client auth']

/** What mutants begin as: each sort of content that is taken. */
const contents: readonly RequestContent[] = [
  { subject: buildSubject({ commonName: 'web' }), names: noNames },
  { subject: [], names: { ...noNames, dns: ['web.shop.svc', 'web.shop.svc.cluster.local'] } },
  {
    subject: buildSubject({ commonName: 'wéb', organizations: ['Acme, Inc.', 'Zeta'], countries: ['DE'] }),
    names: {
      dns: ['web.shop.svc', '*.web.example', 'xn--bcher-kva.example'],
      ip: ['10.0.0.1', '2001:db8::1'],
      uri: ['spiffe://cluster.example/ns/shop/sa/web', 'https://shop.example:8443/a,b'],
      email: ['web@shop.example'],
    },
    extensions: usageExtensions(usages),
  },
  {
    subject: buildSubject({
      organizationalUnits: ['Front', 'Back'],
      provinces: ['Hessen'],
      localities: ['Kassel'],
      streetAddresses: ['Königsplatz 1'],
      postalCodes: ['34117'],
      serialNumber: '0815',
    }),
    names: { ...noNames, uri: ['spiffe://td.example/workload'] },
    extensions: [basicConstraints(false), ...usageExtensions(usages)],
  },
  // The stub of a PodCertificateRequest is a key and nothing else.
  { subject: [], names: noNames },
]

/** A key of a curve that is the same in every run. It protects nothing. */
function curveKey(curve: 'prime256v1' | 'secp384r1' | 'secp521r1', crv: string): KeyObject {
  const exchange = createECDH(curve)
  // Below the order of each of the three.
  exchange.setPrivateKey(createHash('sha256').update(`podpass ${curve}`).digest())
  const point = exchange.getPublicKey().subarray(1)
  const [x, y] = [point.subarray(0, point.length / 2), point.subarray(point.length / 2)]
  const d = Buffer.concat([Buffer.alloc(x.length), exchange.getPrivateKey()]).subarray(-x.length)
  const key = { kty: 'EC', crv, x: base64Url(x), y: base64Url(y), d: base64Url(d) }
  return createPrivateKey({ key, format: 'jwk' })
}

function base64Url(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: 'base64url', omitPadding: true })
}

/** The first is the usual one, and the quickest. Only the RSA key differs from run to run. */
export const keys: readonly KeyObject[] = [
  curveKey('prime256v1', 'P-256'),
  curveKey('secp384r1', 'P-384'),
  curveKey('secp521r1', 'P-521'),
  generateKeySync({ algorithm: 'RSA', size: 2048 }),
  createPrivateKey({
    key: Buffer.concat([
      Uint8Array.fromHex('302e020100300506032b657004220420'),
      createHash('sha256').update('podpass ed25519').digest(),
    ]),
    format: 'der',
    type: 'pkcs8',
  }),
]

/** A request as it should be, and the key that signs what becomes of it. */
export interface SeedRequest {
  readonly der: Uint8Array
  readonly key: KeyObject
}

export const seedRequests: readonly SeedRequest[] = keys.flatMap((key) =>
  contents.map((content) => ({
    key,
    der: decodePem(createCertificateRequest(key, content))[0]?.der ?? new Uint8Array(),
  })),
)

/** How many of the seeds are of the usual key. */
export const seedsOfUsualKey = contents.length
