import { describe, expect, test } from 'vitest'
import type { EventText } from '../../kubernetes/event-object.ts'
import type { ObjectReference } from '../../kubernetes/object.ts'
import type { Entry } from '../../spire/entry.ts'
import { pod } from '../desired/fixtures/configurations.ts'
import type { ObservedPod } from '../observed.ts'
import type { KeyOutcome } from '../sync/key-outcome.ts'
import { nodeKey, podKey } from './object-keys.ts'
import { PodReports } from './pod-reports.ts'

const entry: Entry = {
  id: 'podpass.demo.1',
  spiffeId: 'spiffe://example.org/web',
  parentId: 'spiffe://example.org/node',
  selectors: [],
  dnsNames: [],
  federatesWith: [],
  downstream: false,
  admin: false,
  revision: 0n,
}
const key = podKey(pod.namespace, pod.name)
const well: KeyOutcome = { is: 'registered', entry, change: 'created', notices: [] }

/** Reports of one pod, and the events that they became. */
function open(pods: { now: ObservedPod | undefined } = { now: pod }) {
  const events: { readonly about: ObjectReference; readonly text: EventText }[] = []
  const record = (about: ObjectReference, text: EventText): void => void events.push({ about, text })
  const reports = new PodReports({ events: { record }, pod: () => pods.now })
  return { reports, events }
}

describe('a pod is told', () => {
  test.each<[string, KeyOutcome, string, string]>([
    [
      'that it can have no ID',
      { is: 'problem', problem: 'label x is empty', entry: undefined },
      'IdentityInvalid',
      'label x is empty',
    ],
    [
      'which one it keeps',
      { is: 'problem', problem: 'label x is empty', entry },
      'IdentityInvalid',
      'label x is empty; it keeps spiffe://example.org/web',
    ],
    ['whose entry is in its way', { is: 'conflict', by: entry }, 'IdentityConflict', 'podpass.demo.1'],
    [
      'what SPIRE refuses',
      { is: 'failed', status: 3, message: 'bad name', entry: undefined },
      'IdentityRefused',
      '(INVALID_ARGUMENT): bad name',
    ],
    [
      'what was left out',
      { is: 'registered', entry, change: 'none', notices: ['no bundle', 'no name'] },
      'IdentityIncomplete',
      'no bundle; no name',
    ],
  ])('%s', (_, outcome, reason, message) => {
    const { reports, events } = open()
    reports.tell(key, outcome)
    expect(events).toMatchObject([{ about: { kind: 'Pod', uid: pod.uid }, text: { type: 'Warning', reason } }])
    expect(events[0]?.text.message).toContain(message)
  })
})

test.each<KeyOutcome>([
  well,
  { is: 'unregistered', reason: 'it ended' },
  { is: 'ending', reason: 'it ended', entry: undefined },
])('what is well is no event: $is', (outcome) => {
  const { reports, events } = open()
  reports.tell(key, outcome)
  expect(events).toEqual([])
})

const trouble: KeyOutcome = { is: 'conflict', by: entry }

test('what was said once is not said again before something else was', () => {
  const { reports, events } = open()
  for (const outcome of [trouble, trouble]) reports.tell(key, outcome)
  expect(events).toHaveLength(1)
  for (const outcome of [well, trouble]) reports.tell(key, outcome)
  expect(events).toHaveLength(2)
})

test('a successor of the same name hears what its predecessor heard', () => {
  const pods: { now: ObservedPod | undefined } = { now: pod }
  const { reports, events } = open(pods)
  reports.tell(key, trouble)
  pods.now = { ...pod, uid: 'successor' }
  reports.tell(key, trouble)
  expect(events.map(({ about }) => about.uid)).toEqual([pod.uid, 'successor'])
})

test('nothing is said of nodes, and of pods that nobody sees', () => {
  const { reports, events } = open({ now: undefined })
  reports.tell(key, trouble)
  reports.tell(nodeKey('n1'), trouble)
  expect(events).toEqual([])
})
