import { describe, expect, test } from 'vitest'
import { policyStatus } from './policy-status.ts'
import type { PolicyObject } from './resources.ts'

const now = Date.parse('2026-11-22T10:00:00Z')
const object: PolicyObject = { metadata: { name: 'web', uid: 'uid-1', generation: 3 } }
const problems = [
  { location: { source: 'x' }, message: 'spec.binding must be one of pod, none' },
  { location: { source: 'x' }, message: 'spec.names is required' },
]

describe('the status of a policy', () => {
  test('says that it is used, of which generation and since when', () => {
    expect(policyStatus({ object, problems: [], isFormerUsed: false }, now)).toEqual({
      observedGeneration: 3,
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          reason: 'Used',
          message: 'the policy is used',
          observedGeneration: 3,
          lastTransitionTime: '2026-11-22T10:00:00Z',
        },
      ],
    })
  })

  test('says everything that is wrong, and whether an earlier version counts', () => {
    const message = (isFormerUsed: boolean) =>
      policyStatus({ object, problems, isFormerUsed }, now)?.conditions?.[0]?.message
    expect(message(false)).toBe('not used: spec.binding must be one of pod, none; spec.names is required')
    expect(message(true)).toMatch(/^not used, its last good version is: spec\.binding/)
  })

  test('is not written again where it says so already, and keeps its time where only the text changes', () => {
    const said = policyStatus({ object, problems: [], isFormerUsed: false }, now)
    const again = { ...object, ...(said && { status: said }) }
    expect(policyStatus({ object: again, problems: [], isFormerUsed: false }, now + 1)).toBeUndefined()
    const next = { ...again, metadata: { ...again.metadata, generation: 4 } }
    expect(policyStatus({ object: next, problems: [], isFormerUsed: false }, now + 60_000)).toMatchObject({
      observedGeneration: 4,
      conditions: [{ lastTransitionTime: '2026-11-22T10:00:00Z', observedGeneration: 4 }],
    })
    expect(policyStatus({ object: next, problems, isFormerUsed: true }, now + 60_000)?.conditions?.[0]).toMatchObject({
      status: 'False',
      lastTransitionTime: '2026-11-22T10:01:00Z',
    })
  })
})
