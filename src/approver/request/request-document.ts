import * as v from 'valibot'
import type { KubernetesObject } from '../../kubernetes/object.ts'
import { child, type Field, isObject } from '../../manifest/manifest.ts'
import type { Problem } from '../../manifest/problem.ts'
import { schemaProblems } from '../policy/schema-problems.ts'
import { type RequestKind, requestKinds, type RequestObject, requestObject } from './request-object.ts'

const conditions = v.optional(v.array(v.looseObject({ type: v.string(), status: v.string() })))
const metadata = v.looseObject({ name: v.optional(v.string()), namespace: v.optional(v.string()) })
const whole = { apiVersion: v.string(), kind: v.string(), metadata, status: v.optional(v.looseObject({ conditions })) }
const requester = {
  username: v.optional(v.string()),
  uid: v.optional(v.string()),
  groups: v.optional(v.array(v.string())),
  extra: v.optional(v.record(v.string(), v.array(v.string()))),
}
const usages = v.optional(v.array(v.string()))

/** As much of each kind as is looked at: the API server has checked the rest, and a file has nobody. */
const schemas: Readonly<Record<RequestKind, v.GenericSchema>> = {
  CertificateSigningRequest: v.looseObject({
    ...whole,
    spec: v.looseObject({
      request: v.string(),
      signerName: v.string(),
      expirationSeconds: v.optional(v.number()),
      usages,
      ...requester,
    }),
  }),
  CertificateRequest: v.looseObject({
    ...whole,
    spec: v.looseObject({
      request: v.string(),
      issuerRef: v.looseObject({ name: v.string(), kind: v.optional(v.string()), group: v.optional(v.string()) }),
      isCA: v.optional(v.boolean()),
      duration: v.optional(v.string()),
      usages,
      ...requester,
    }),
  }),
  PodCertificateRequest: v.looseObject({
    ...whole,
    spec: v.looseObject({
      signerName: v.string(),
      podName: v.string(),
      podUID: v.string(),
      serviceAccountName: v.string(),
      serviceAccountUID: v.string(),
      nodeName: v.string(),
      maxExpirationSeconds: v.optional(v.number()),
      stubPKCS10Request: v.string(),
      unverifiedUserAnnotations: v.optional(v.record(v.string(), v.string())),
    }),
  }),
}

/** Reads a request from a file, where nobody has checked its form. */
export function readRequestDocument(document: Field): {
  readonly request: RequestObject | undefined
  readonly problems: readonly Problem[]
} {
  const { value, location } = document
  const kind = requestKinds.find((kind) => isObject(value) && value['kind'] === kind)
  if (kind === undefined) {
    const field = child(document, 'kind')
    const message = `is no request: its kind must be one of ${requestKinds.join(', ')}`
    return { request: undefined, problems: [{ location: field.location, message }] }
  }
  const problems = schemaProblems(schemas[kind], document, kind)
  if (problems.length > 0) return { request: undefined, problems }
  const request = requestObject(value as KubernetesObject)
  if (request !== undefined) return { request, problems: [] }
  return { request: undefined, problems: [{ location, message: `is a ${kind} of another group or version than v1` }] }
}
