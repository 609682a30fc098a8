import type { Event, ObjectReference } from './object.ts'

/** What an event says. */
export interface EventText {
  readonly type: 'Normal' | 'Warning'
  /** UpperCamelCase, for machines. */
  readonly reason: string
  /** For people; cut at 1,024 bytes. Never a secret. */
  readonly message: string
}

/** Who says it. */
export interface EventReporter {
  /** Such as `podpass-driver`; it stands in the From column of `kubectl describe`. */
  readonly component: string
  /** The node or pod that it runs on. */
  readonly instance: string
}

/** How often and when something was seen; times are epoch milliseconds. */
export interface Sightings {
  readonly count: number
  readonly first: number
  readonly last: number
}

/** The bound that events.k8s.io/v1 puts on `note`, in bytes. */
const longestMessage = 1024

/**
 * Makes a core/v1 Event. One about a cluster-scoped object lies in the namespace `default` (core validation, legacyValidateEvent).
 *
 * @param suffix - makes the name unique
 */
export function eventObject(
  about: ObjectReference,
  text: EventText,
  sightings: Sightings,
  reporter: EventReporter,
  suffix: string,
): Event {
  const { component, instance } = reporter
  return {
    metadata: { namespace: about.namespace ?? 'default', name: eventName(about.name, suffix) },
    involvedObject: about,
    type: text.type,
    reason: text.reason,
    message: cutText(text.message, longestMessage),
    source: { component, host: instance },
    reportingComponent: component,
    reportingInstance: instance,
    firstTimestamp: secondsOf(sightings.first),
    ...recurrence(sightings),
  }
}

/** The fields of an Event that change when the same is seen again; a merge patch. */
export function recurrence(sightings: Sightings): Pick<Event, 'count' | 'lastTimestamp'> {
  return { count: sightings.count, lastTimestamp: secondsOf(sightings.last) }
}

/** Cuts a text at a number of bytes of UTF-8, between characters, and shows that it did. */
export function cutText(text: string, longest: number): string {
  const bytes = Buffer.from(text)
  if (bytes.length <= longest) return text
  const mark = '…'
  let end = longest - Buffer.byteLength(mark)
  // Continuation bytes are 10xxxxxx (RFC 3629 §3).
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return bytes.toString('utf8', 0, end) + mark
}

/** Names of events are DNS subdomains of at most 253 characters; those of some objects are not. */
function eventName(name: string, suffix: string): string {
  const stem = name
    .toLowerCase()
    .replace(/[^a-z0-9.-]/g, '-')
    .replace(/^[.-]+/, '')
    .slice(0, 252 - suffix.length)
    .replace(/[.-]+$/, '')
    .replace(/[.-]{2,}/g, '-')
  return stem === '' ? `event.${suffix}` : `${stem}.${suffix}`
}

/** metav1.Time has whole seconds. */
function secondsOf(time: number): string {
  return new Date(time).toISOString().replace(/\.\d+Z$/, 'Z')
}
