/** Why a request can never be granted, found in its own bytes. */
export interface RequestFault {
  /** Which rule it breaks; short and stable, for metrics and policies' outcomes. */
  readonly rule: FaultRule
  /** What was looked at, for people. */
  readonly value: string
  /** A sentence without its end. */
  readonly why: string
}

/** The rules that hold for every request, whatever a policy says. */
export type FaultRule =
  | 'request.encoding'
  | 'request.key'
  | 'request.subject'
  | 'request.names'
  | 'request.extensions'
  | 'request.usages'
  | 'request.ca'
  | 'request.duration'
  | 'request.reserved-names'
