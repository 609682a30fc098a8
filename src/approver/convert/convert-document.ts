import * as v from 'valibot'
import { child, descend, type Field, isObject, items } from '../../manifest/manifest.ts'
import type { Location, Problem } from '../../manifest/problem.ts'
import { policyApi, policyApiVersion } from '../policy/certificate-policy.ts'
import { schemaProblems } from '../policy/schema-problems.ts'
import { convertPolicy } from './convert-policy.ts'
import { foreignApi, foreignPolicySchema } from './foreign-policy.ts'

/** What became of one foreign policy. */
export interface ConvertedDocument {
  readonly location: Location
  /** An object to be written; undefined where the document could not be read. It must not be used where there are errors. */
  readonly policy: object | undefined
  readonly errors: readonly Problem[]
  readonly warnings: readonly Problem[]
}

/** Converts a document, or each item of a List; RBAC objects beside the policies are left out. */
export function convertDocument(document: Field): ConvertedDocument[] {
  const { value, location } = document
  const kind = isObject(value) ? value['kind'] : undefined
  if (kind === 'List' || kind === `${foreignApi.kind}List`)
    return items(child(document, 'items')).flatMap(convertDocument)
  if (typeof kind === 'string' && /^(?:Cluster)?Role(?:Binding)?$/.test(kind)) return []
  if (kind !== foreignApi.kind) {
    return [{ location, policy: undefined, errors: [{ location, message: `is no ${foreignApi.kind}` }], warnings: [] }]
  }
  const name = descend(document, 'metadata', 'name').value
  const object = `${foreignApi.kind} ${typeof name === 'string' ? name : 'without a name'}`
  const problems = schemaProblems(foreignPolicySchema, document, object)
  if (problems.length > 0) return [{ location, policy: undefined, errors: problems, warnings: [] }]
  const foreign = v.parse(foreignPolicySchema, value)
  const { spec, notes } = convertPolicy(foreign.spec)
  const told = (is: 'error' | 'warning'): Problem[] =>
    notes
      .filter((note) => note.is === is)
      .map(({ at, message }) => {
        const field = descend(document, 'spec', ...at)
        return { location: field.location, object, message: at.length === 0 ? message : `${field.path} ${message}` }
      })
  const policy = { apiVersion: policyApiVersion, kind: policyApi.kind, metadata: { name: foreign.metadata.name }, spec }
  return [{ location, policy, errors: told('error'), warnings: told('warning') }]
}
