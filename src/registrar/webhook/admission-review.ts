/** What the API server asks an admission webhook (admission.k8s.io AdmissionRequest), as far as it matters here. */
export interface AdmissionRequest {
  readonly uid: string
  /** `group/version Kind` in parts; empty texts for the core group, and for what the request does not say. */
  readonly kind: { readonly group: string; readonly version: string; readonly kind: string }
  /** Such as `status`; empty for the object itself. */
  readonly subResource: string
  readonly namespace: string
  readonly name: string
  /** CREATE, UPDATE, DELETE or CONNECT. */
  readonly operation: string
  /** Nothing is to be changed: somebody only wants to know. */
  readonly dryRun: boolean
  /** The object as it would be stored; undefined for a DELETE. */
  readonly object: unknown
  /** The object as it is stored; undefined for a CREATE. */
  readonly oldObject: unknown
}

export interface AdmissionReview {
  /** The answer has the same. */
  readonly apiVersion: 'admission.k8s.io/v1' | 'admission.k8s.io/v1beta1'
  readonly request: AdmissionRequest
}

/** What is answered. */
export interface AdmissionAnswer {
  readonly allowed: boolean
  /** Why not, for whoever wrote the object. */
  readonly message?: string
  /** Shown by kubectl to whoever wrote the object, allowed or not (KEP-1693). Cut to 120 characters by some clients. */
  readonly warnings?: readonly string[]
}

/** A body that is no AdmissionReview. Its message is the HTTP body, in the words of SPIRE's registrar. */
export class ReviewError extends Error {
  override readonly name = 'ReviewError'
  readonly code = 'ADMISSION_REVIEW_INVALID'
}

const versions = ['admission.k8s.io/v1', 'admission.k8s.io/v1beta1'] as const
/** How much of a body is repeated to whoever sent it, in characters. */
const longestEcho = 1024

/**
 * Reads an AdmissionReview of v1 or v1beta1.
 *
 * @throws {ReviewError} with texts of apimachinery's decoder where users match on them
 */
export function readAdmissionReview(body: string): AdmissionReview {
  const review = body === '' ? {} : parse(body)
  if (typeof review['kind'] !== 'string' || review['kind'] === '')
    throw malformed(`Object 'Kind' is missing in '${body.slice(0, longestEcho)}'`)
  const { kind, apiVersion } = review
  if (typeof apiVersion !== 'string' || apiVersion === '')
    throw malformed(`Object 'apiVersion' is missing in '${body.slice(0, longestEcho)}'`)
  const version = versions.find((known) => known === apiVersion)
  if (version === undefined) throw malformed(`no kind "${kind}" is registered for version "${apiVersion}"`)
  if (kind !== 'AdmissionReview') throw new ReviewError(`Unsupported group version kind: ${version}, Kind=${kind}`)
  const { request } = review
  if (!isRecord(request)) throw malformed('it has no request')
  return { apiVersion: version, request: readRequest(request) }
}

/** One line of JSON, without a newline. Fields in the order in which the API's own types are written. */
export function writeAdmissionReview({ apiVersion, request }: AdmissionReview, answer: AdmissionAnswer): string {
  const { allowed, message, warnings = [] } = answer
  return JSON.stringify({
    kind: 'AdmissionReview',
    apiVersion,
    response: {
      uid: request.uid,
      allowed,
      // As controller-runtime's denials: kubectl shows the message behind the name of the webhook.
      ...(message !== undefined && { status: { metadata: {}, message, reason: 'Forbidden', code: 403 } }),
      ...(warnings.length > 0 && { warnings }),
    },
  })
}

function readRequest(request: Readonly<Record<string, unknown>>): AdmissionRequest {
  const text = (from: Readonly<Record<string, unknown>>, name: string, path: string): string => {
    const value = from[name] ?? ''
    if (typeof value !== 'string') throw malformed(`${path}.${name} is not a text`)
    return value
  }
  const kind = isRecord(request['kind']) ? request['kind'] : {}
  return {
    uid: text(request, 'uid', 'request'),
    kind: {
      group: text(kind, 'group', 'request.kind'),
      version: text(kind, 'version', 'request.kind'),
      kind: text(kind, 'kind', 'request.kind'),
    },
    subResource: text(request, 'subResource', 'request'),
    namespace: text(request, 'namespace', 'request'),
    name: text(request, 'name', 'request'),
    operation: text(request, 'operation', 'request'),
    dryRun: request['dryRun'] === true,
    object: request['object'] ?? undefined,
    oldObject: request['oldObject'] ?? undefined,
  }
}

function parse(body: string): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch (error) {
    throw malformed(`couldn't get version/kind; json parse error: ${(error as Error).message}`)
  }
  if (isRecord(value)) return value
  throw malformed("couldn't get version/kind; json parse error: not an object")
}

function malformed(why: string): ReviewError {
  return new ReviewError(`Malformed JSON body: ${why}`)
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
