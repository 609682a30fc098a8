import { evaluatePolicy, type Evaluation } from './evaluate-policy.ts'
import type { GrantedNames } from './issue-names.ts'
import { type KeyOwners, ownerOf } from './key-ledger.ts'
import type { LiveObjects } from './live-objects.ts'
import { failed, passed, type RuleOutcome } from './outcome.ts'
import type { Policy } from './policy/policy.ts'
import type { AskedCertificate, Reading } from './request/asked-certificate.ts'
import { readRequest } from './request/read-request.ts'
import { closedBecause, type RequestObject } from './request/request-object.ts'
import { selects, type Selection } from './selection.ts'
import { type Drivers, type Subject, subjectOf } from './subject.ts'

/** What the administrator sets. */
export interface ApproverSettings {
  readonly drivers: Drivers
  /** Such as `cluster.local`. */
  readonly clusterDomain: string
  /** How long a request may wait for live objects, milliseconds from its creation. After it the request is left alone. */
  readonly patience: number
}

/** A request, and all that its decision rests on. */
export interface Question {
  readonly request: RequestObject
  /** What {@link readRequest} has made of the request, where that was asked before: it takes most of a decision's time. */
  readonly reading?: Reading
  readonly policies: readonly Policy[]
  /** Names of policies that cannot be used yet. While there is one, nothing is denied: it might have let the request pass. */
  readonly unready?: readonly string[]
  readonly live: LiveObjects
  readonly keys: KeyOwners
  readonly settings: ApproverSettings
  /** Epoch milliseconds. */
  readonly now: number
}

/** What became of a request under one policy. */
export interface PolicyOutcome {
  readonly policy: string
  readonly generation: number | undefined
  /** `not for it` and `unknown` carry the reason in `why`. */
  readonly result: 'passed' | 'failed' | 'not for it' | 'unknown'
  readonly why: string
  readonly rules: readonly RuleOutcome[]
}

/** What is to be done with a request, and why. */
export interface Decision {
  readonly is: 'approve' | 'deny' | 'wait' | 'leave alone'
  /** For a condition: one word of letters (metav1.Condition). */
  readonly reason: string
  /** For people: who must do what. */
  readonly message: string
  /** The policy that approves. */
  readonly policy: string | undefined
  readonly policies: readonly PolicyOutcome[]
  /** What holds for every policy alike: how the request reads, and whose its key is. */
  readonly request: readonly RuleOutcome[]
  readonly subject: Subject
  readonly asked: AskedCertificate | undefined
  /** Who has the key once this is approved. */
  readonly owner: string
  /** For an approved PodCertificateRequest. */
  readonly granted: GrantedNames | undefined
}

/**
 * Decides what becomes of a request. Pure: the same question has the same answer, and nothing is written, fetched or remembered.
 *
 * Every policy that is for the request is evaluated. One that passes approves. None that is for it: the request is left alone, it is
 * somebody else's. All fail: it is denied only if each fails in something that can never change, the request's bytes or its attested
 * requester; else it waits, because live objects change and a denial is for good.
 */
export function decide(question: Question): Decision {
  const { request, policies, live, settings } = question
  const reading = question.reading ?? readRequest(request)
  const subject = subjectOf(request, reading.asked, live, settings.drivers)
  const selected = policies.map((policy) => ({ policy, selection: selects(policy, request, subject, live) }))
  const requestOutcomes = [...readingOutcomes(reading), ...keyOutcomes(question, reading, subject)]
  const results = selected.map(({ policy, selection }) =>
    evaluateSelected(question, policy, selection, reading, subject),
  )
  const outcomes = results.map(({ outcome }) => outcome)
  const passing = results.find(({ outcome }) => outcome.result === 'passed')
  const verdict = judge(question, outcomes, requestOutcomes, policies)
  const isApproved = verdict.is === 'approve'
  return {
    ...verdict,
    policy: isApproved ? passing?.outcome.policy : undefined,
    policies: outcomes,
    request: requestOutcomes,
    subject,
    asked: reading.asked,
    owner: ownerOf(subject),
    granted: isApproved ? passing?.evaluation?.granted : undefined,
  }
}

interface PolicyResult {
  readonly outcome: PolicyOutcome
  readonly evaluation: Evaluation | undefined
}

function evaluateSelected(
  { request, live, settings }: Question,
  policy: Policy,
  selection: Selection,
  { asked, faults }: Reading,
  subject: Subject,
): PolicyResult {
  const { name, generation } = policy
  const of = { policy: name, generation }
  if (selection.is !== 'yes') {
    const result = selection.is === 'no' ? 'not for it' : 'unknown'
    return { outcome: { ...of, result, why: selection.why, rules: [] }, evaluation: undefined }
  }
  if (asked === undefined) {
    return { outcome: { ...of, result: 'failed', why: 'the request cannot be read', rules: [] }, evaluation: undefined }
  }
  const evaluation = evaluatePolicy(policy, { request, asked, subject, live, clusterDomain: settings.clusterDomain })
  const rules = evaluation.outcomes
  const bad = rules.filter(({ result }) => result === 'failed')
  if (bad.length > 0) return { outcome: { ...of, result: 'failed', why: summary(bad), rules }, evaluation }
  if (faults.length > 0)
    return { outcome: { ...of, result: 'failed', why: 'the request itself is ruled out', rules }, evaluation }
  return { outcome: { ...of, result: 'passed', why: 'every rule passed', rules }, evaluation }
}

function readingOutcomes({ asked, faults }: Reading): RuleOutcome[] {
  if (faults.length > 0) return faults.map(({ rule, value, why }) => failed(rule, 'intrinsic', value, why))
  return [
    passed(
      'request.encoding',
      asked?.keyHash.slice(0, 16) ?? '',
      'it is well formed, all of it is understood, and its key signed it',
    ),
  ]
}

/** A key that somebody else used is no fault of the request: denied, a replayed request would be the end of its rightful owner. */
function keyOutcomes({ keys, now }: Question, { asked }: Reading, subject: Subject): RuleOutcome[] {
  if (asked === undefined) return []
  const claim = keys.claimOf(asked.keyHash, now)
  const value = asked.keyHash.slice(0, 16)
  if (claim === undefined && !keys.hasRoom(now)) {
    return [
      failed(
        'key.owner',
        'extrinsic',
        value,
        'the ledger of keys is full: keys are remembered until their certificates end',
      ),
    ]
  }
  if (claim === undefined || claim.owner === ownerOf(subject))
    return [passed('key.owner', value, 'nobody else has used the key', { nature: 'extrinsic' })]
  return [failed('key.owner', 'extrinsic', value, `the key belongs to ${claim.owner}: a key is for one owner`)]
}

type Verdict = Pick<Decision, 'is' | 'reason' | 'message'>

function judge(
  { request, unready = [], settings, now }: Question,
  outcomes: readonly PolicyOutcome[],
  requestOutcomes: readonly RuleOutcome[],
  policies: readonly Policy[],
): Verdict {
  const closed = closedBecause(request)
  if (closed !== undefined) return { is: 'leave alone', reason: 'Closed', message: closed }
  const relevant = outcomes.filter(({ result }) => result === 'passed' || result === 'failed')
  const unknown = outcomes.find(({ result }) => result === 'unknown')
  if (relevant.length === 0 && unknown === undefined) {
    return { is: 'leave alone', reason: 'NotCovered', message: 'no policy is for this request' }
  }
  const wait = (reason: string, message: string): Verdict =>
    waitUntil(request, settings.patience, now, { is: 'wait', reason, message })
  const badRequest = requestOutcomes.filter(({ result }) => result === 'failed')
  const isRuledOut = badRequest.some(({ nature }) => nature === 'intrinsic')
  const passing = relevant.find(({ result }) => result === 'passed')
  if (passing !== undefined && !isRuledOut) {
    if (badRequest.length > 0) return wait('KeyInUse', summary(badRequest))
    return { is: 'approve', reason: 'PolicyPassed', message: `policy ${passing.policy} allows it` }
  }
  const failures = relevant.map(({ policy, why }) => `policy ${policy}: ${why}`).join('; ')
  const message = isRuledOut ? summary(badRequest) : failures
  const isFinal = isRuledOut || relevant.every(({ rules }) => rules.some(isFinalFailure))
  if (!isFinal)
    return wait(
      'NotYetAllowed',
      [message, unknown && `policy ${unknown.policy}: ${unknown.why}`].filter(Boolean).join('; '),
    )
  if (unknown !== undefined) return wait('PolicyUnknown', `policy ${unknown.policy}: ${unknown.why}`)
  if (unready.length > 0)
    return wait('PolicyNotReady', `not denied while these policies cannot be used: ${unready.join(', ')}; ${message}`)
  const sparing = relevant.find(({ policy }) => policies.some(({ name, spec }) => name === policy && spec.neverDeny))
  if (sparing !== undefined) return wait('NeverDeny', `policy ${sparing.policy} denies nothing; ${message}`)
  return { is: 'deny', reason: isRuledOut ? 'RequestRuledOut' : 'PolicyForbids', message }
}

function isFinalFailure({ result, nature }: RuleOutcome): boolean {
  return result === 'failed' && nature === 'intrinsic'
}

function waitUntil({ object }: RequestObject, patience: number, now: number, verdict: Verdict): Verdict {
  const created = Date.parse(object.metadata.creationTimestamp ?? '')
  if (!(created + patience <= now)) return verdict
  return { is: 'leave alone', reason: 'TooLate', message: `it has waited too long; ${verdict.message}` }
}

function summary(outcomes: readonly RuleOutcome[]): string {
  const [first, ...rest] = outcomes
  if (first === undefined) return ''
  const shown = first.value === '' ? first.why : `${first.value}: ${first.why}`
  return rest.length === 0 ? shown : `${shown} (and ${rest.length} more)`
}
