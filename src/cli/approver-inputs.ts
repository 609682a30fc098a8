import { loadPolicies, type LoadedPolicies } from '../approver/policy/load-policies.ts'
import { policyApi } from '../approver/policy/certificate-policy.ts'
import type { PolicyLimits } from '../approver/policy/policy-problems.ts'
import { isPolicyDocument } from '../approver/policy/read-policy.ts'
import { loadCel } from '../approver/rule/cel.ts'
import { type Field, readManifest } from '../manifest/manifest.ts'
import { inReadingOrder, type Problem } from '../manifest/problem.ts'
import { readSources } from '../manifest/source.ts'

/** What files hold, as far as it could be read. */
export interface Documents {
  readonly documents: readonly Field[]
  readonly problems: readonly Problem[]
}

/** Reads all documents of some files; `-` is standard input. */
export async function readDocuments(files: readonly string[]): Promise<Documents> {
  const { sources, problems } = await readSources(files, process.stdin)
  const manifests = sources.map(readManifest)
  return {
    documents: manifests.flatMap(({ documents }) => documents),
    problems: [...problems, ...manifests.flatMap((manifest) => manifest.problems)],
  }
}

/** Reads the policies of some files. A document of another kind is a problem: a mistyped kind must not be a policy less. */
export async function readPolicies(files: readonly string[], limits: PolicyLimits): Promise<LoadedPolicies> {
  const { documents, problems } = await readDocuments(files)
  const others = documents.filter((document) => !isPolicyDocument(document))
  const loaded = await loadPolicies(documents.filter(isPolicyDocument), limits, () => loadCel())
  const strangers = others.map(({ location }) => ({ location, message: `is no ${policyApi.kind}` }))
  const all = [...problems, ...strangers, ...loaded.problems]
  if (all.length > 0 || loaded.policies.length > 0) return { policies: loaded.policies, problems: inReadingOrder(all) }
  return { policies: [], problems: files.map((source) => ({ location: { source }, message: 'holds no policy' })) }
}
