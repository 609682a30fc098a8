import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { cutText, eventObject, recurrence } from './event-object.ts'
import type { ObjectReference } from './object.ts'

const about: ObjectReference = { apiVersion: 'v1', kind: 'Pod', namespace: 'sandbox', name: 'web-0', uid: 'u1' }
const text = { type: 'Warning', reason: 'RequestDenied', message: 'no' } as const
const reporter = { component: 'podpass-driver', instance: 'node-1' }
const time = Date.UTC(2026, 0, 2, 3, 4, 5, 678)

test('an event carries what kubectl shows: object, type, reason, message, reporter, count and times', () => {
  const event = eventObject(about, text, { count: 3, first: time, last: time + 60_000 }, reporter, '0f0f')
  expect(event).toEqual({
    metadata: { namespace: 'sandbox', name: 'web-0.0f0f' },
    involvedObject: about,
    type: 'Warning',
    reason: 'RequestDenied',
    message: 'no',
    source: { component: 'podpass-driver', host: 'node-1' },
    reportingComponent: 'podpass-driver',
    reportingInstance: 'node-1',
    count: 3,
    firstTimestamp: '2026-01-02T03:04:05Z',
    lastTimestamp: '2026-01-02T03:05:05Z',
  })
})

test('a recurrence changes count and last time alone', () => {
  expect(recurrence({ count: 4, first: 0, last: time })).toEqual({ count: 4, lastTimestamp: '2026-01-02T03:04:05Z' })
})

test('an event about a cluster-scoped object lies in the namespace default', () => {
  const request: ObjectReference = {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    name: 'csr',
    uid: 'u',
  }
  expect(eventObject(request, text, { count: 1, first: 0, last: 0 }, reporter, '0').metadata.namespace).toBe('default')
})

test('whatever the object is called, the name of its event is a DNS subdomain that ends in the suffix', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 300, unit: 'grapheme' }), (name) => {
      const event = eventObject({ ...about, name }, text, { count: 1, first: 0, last: 0 }, reporter, '0123456789abcdef')
      const { name: result = '' } = event.metadata
      expect(result).toMatch(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/)
      expect(result.length).toBeLessThanOrEqual(253)
      expect(result.endsWith('.0123456789abcdef')).toBe(true)
    }),
  )
})

test('a text is cut between characters, never beyond its bound, and only where it is too long', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 3, max: 40 }), (text, longest) => {
      const cut = cutText(text, longest)
      const isShort = Buffer.byteLength(text) <= longest
      expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(longest)
      expect(cut === text).toBe(isShort)
      expect(isShort || (cut.endsWith('…') && text.startsWith(cut.slice(0, -1)))).toBe(true)
    }),
  )
})
