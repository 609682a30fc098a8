import { descend, type Field, readManifest } from '../../manifest/manifest.ts'
import type { Problem } from '../../manifest/problem.ts'
import { policyApi, policyApiVersion } from '../policy/certificate-policy.ts'
import type { Policy } from '../policy/policy.ts'
import type { PolicyLimits } from '../policy/policy-problems.ts'
import { hasRules, readPolicy } from '../policy/read-policy.ts'
import { loadCel } from '../rule/cel.ts'
import type { PolicyObject } from './resources.ts'

/** A policy that can be used, or what is wrong with it. */
export interface DocumentReading {
  readonly name: string | undefined
  readonly policy: Policy | undefined
  readonly problems: readonly Problem[]
}

/** Reads a policy; the expression language is loaded with the first one that has rules. */
export async function readPolicyDocument(document: Field, limits: PolicyLimits): Promise<DocumentReading> {
  const name = descend(document, 'metadata', 'name').value
  const reading = readPolicy(document, limits, hasRules(document) ? await loadCel() : undefined)
  return { ...reading, name: typeof name === 'string' ? name : undefined }
}

/** The same for an object of the API server, whose schema has let it pass already. */
export async function readPolicyObject(
  { metadata, spec }: PolicyObject,
  limits: PolicyLimits,
): Promise<DocumentReading> {
  const { name = '', generation } = metadata
  const text = JSON.stringify({
    apiVersion: policyApiVersion,
    kind: policyApi.kind,
    metadata: { name, generation },
    spec: spec ?? {},
  })
  const [document] = readManifest({ name: `${policyApi.kind} ${name}`, text }).documents
  if (document === undefined) throw new TypeError('JSON of an object is one document')
  return readPolicyDocument(document, limits)
}
