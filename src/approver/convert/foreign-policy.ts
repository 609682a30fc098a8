import * as v from 'valibot'
import { keyUsages } from '../../x509/key-usage.ts'

/** The kind of cert-manager's approver-policy. */
export const foreignApi = {
  group: 'policy.cert-manager.io',
  version: 'v1alpha1',
  kind: 'CertificateRequestPolicy',
} as const

const validations = v.optional(v.array(v.strictObject({ rule: v.string(), message: v.optional(v.string()) })))
const required = v.optional(v.boolean())
const list = v.optional(v.strictObject({ values: v.optional(v.array(v.string())), required, validations }))
const single = v.optional(v.strictObject({ value: v.optional(v.string()), required, validations }))
/** Names and attributes of any kind by their object identifiers: read to be told of, since no policy of ours allows one. */
const others = v.optional(v.array(v.looseObject({ oid: v.string() })))

/** CertificateRequestPolicy of approver-policy 0.27, as far as it decides. */
export const foreignPolicySchema = v.strictObject({
  apiVersion: v.literal(`${foreignApi.group}/${foreignApi.version}`),
  kind: v.literal(foreignApi.kind),
  metadata: v.looseObject({ name: v.string() }),
  spec: v.strictObject({
    allowed: v.optional(
      v.strictObject({
        commonName: single,
        dnsNames: list,
        ipAddresses: list,
        uris: list,
        emailAddresses: list,
        isCA: v.optional(v.boolean()),
        usages: v.optional(v.array(v.picklist(keyUsages))),
        subject: v.optional(
          v.strictObject({
            organizations: list,
            countries: list,
            organizationalUnits: list,
            localities: list,
            provinces: list,
            streetAddresses: list,
            postalCodes: list,
            serialNumber: single,
            otherAttributes: others,
          }),
        ),
        otherNames: others,
      }),
      {},
    ),
    constraints: v.optional(
      v.strictObject({
        minDuration: v.optional(v.string()),
        maxDuration: v.optional(v.string()),
        privateKey: v.optional(
          v.strictObject({
            algorithm: v.optional(v.picklist(['RSA', 'ECDSA', 'Ed25519'])),
            minSize: v.optional(v.number()),
            maxSize: v.optional(v.number()),
          }),
        ),
      }),
      {},
    ),
    plugins: v.optional(v.record(v.string(), v.unknown()), {}),
    selector: v.strictObject({
      issuerRef: v.nullish(
        v.strictObject({ name: v.optional(v.string()), kind: v.optional(v.string()), group: v.optional(v.string()) }),
      ),
      namespace: v.nullish(
        v.strictObject({
          matchNames: v.optional(v.array(v.string())),
          matchLabels: v.optional(v.record(v.string(), v.string())),
        }),
      ),
    }),
  }),
  status: v.optional(v.unknown()),
})

export type ForeignPolicySpec = v.InferOutput<typeof foreignPolicySchema>['spec']
