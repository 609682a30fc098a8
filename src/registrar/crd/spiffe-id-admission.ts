import { isDeepStrictEqual } from 'node:util'
import type { AdmissionAnswer, AdmissionRequest } from '../webhook/admission-review.ts'
import type { AdmissionHandler } from '../webhook/webhook-server.ts'
import { readSpec } from './read-spiffe-id.ts'
import type { SpiffeIdSource } from './spiffe-id-source.ts'
import { violationsOf } from './spiffe-id-rules.ts'

/** Where SPIRE's registrar, and configurations that were made for it, have the check of SpiffeIDs. */
export const spiffeIdAdmissionPath = '/validate-spiffeid-spiffe-io-v1beta1-spiffeid'

const allowed: AdmissionAnswer = { allowed: true }

/**
 * Refuses SpiffeIDs that break a rule, as they are written. The controller holds the same rules: this one tells people sooner.
 *
 * What does not change the spec is never refused, or a SpiffeID that broke a rule before could not even be deleted.
 */
export function spiffeIdAdmission(source: Pick<SpiffeIdSource, 'rules' | 'duplicate'>): AdmissionHandler {
  return async (request) => {
    const { kind, operation, subResource } = request
    const isSpiffeId = kind.group === 'spiffeid.spiffe.io' && kind.kind === 'SpiffeID' && subResource === ''
    if (!isSpiffeId || (operation !== 'CREATE' && operation !== 'UPDATE')) return allowed
    return judge(request, source)
  }
}

function judge(
  { namespace, name, operation, object, oldObject }: AdmissionRequest,
  source: Pick<SpiffeIdSource, 'rules' | 'duplicate'>,
): AdmissionAnswer {
  const written = specOf(object)
  if (operation === 'UPDATE' && (isEnding(object) || isDeepStrictEqual(written, specOf(oldObject)))) return allowed
  const spec = readSpec(written)
  if ('problems' in spec) return { allowed: false, message: spec.problems.join('; ') }
  const violations = violationsOf({ namespace, spec }, source.rules)
  const duplicate = violations.length === 0 ? source.duplicate({ namespace, name }, spec) : undefined
  const all = duplicate === undefined ? violations : [duplicate]
  return all.length === 0 ? allowed : { allowed: false, message: all.map(({ message }) => message).join('; ') }
}

function specOf(object: unknown): unknown {
  return typeof object === 'object' && object !== null && 'spec' in object ? object.spec : undefined
}

function isEnding(object: unknown): boolean {
  const metadata = typeof object === 'object' && object !== null && 'metadata' in object ? object.metadata : undefined
  return typeof metadata === 'object' && metadata !== null && 'deletionTimestamp' in metadata
}
