import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Mirror } from './mirror.ts'
import type { KubernetesObject } from './object.ts'

function object(name: string, uid: string, resourceVersion: string, namespace = 'default'): KubernetesObject {
  return { metadata: { name, namespace, uid, resourceVersion } }
}

/** What is kept of an object here. */
function summary({ metadata }: KubernetesObject): string {
  return `${metadata.namespace}/${metadata.name}:${metadata.uid}@${metadata.resourceVersion}`
}

/** A mirror, and what it tells. */
function watched() {
  const told: string[] = []
  const mirror = new Mirror(summary, {
    added: (_object, kept) => told.push(`+ ${kept}`),
    modified: (_object, kept, before) => told.push(`~ ${before} > ${kept}`),
    deleted: (kept) => told.push(`- ${kept}`),
  })
  return { mirror, told }
}

test('an object that is shown again in the same state is not told again', () => {
  const { mirror, told } = watched()
  mirror.show(object('a', 'u1', '1'))
  mirror.show(object('a', 'u1', '1'))
  mirror.show(object('a', 'u1', '2'))
  expect(told).toEqual(['+ default/a:u1@1', '~ default/a:u1@1 > default/a:u1@2'])
})

test('an object that was replaced under its name is told as an end and a beginning', () => {
  const { mirror, told } = watched()
  mirror.show(object('a', 'u1', '1'))
  mirror.show(object('a', 'u2', '5'))
  expect(told).toEqual(['+ default/a:u1@1', '- default/a:u1@1', '+ default/a:u2@5'])
})

test('the end of an object that was replaced already says nothing of its successor', () => {
  const { mirror, told } = watched()
  mirror.show(object('a', 'u2', '5'))
  mirror.remove(object('a', 'u1', '4'))
  expect(told).toEqual(['+ default/a:u2@5'])
  expect(mirror.get('a', 'default')).toBe('default/a:u2@5')
})

test('a complete survey ends what it did not show, an unfinished one nothing', () => {
  const { mirror, told } = watched()
  mirror.show(object('a', 'u1', '1'))
  mirror.show(object('b', 'u2', '2'))
  const unfinished = mirror.survey()
  unfinished.show(object('a', 'u1', '1'))
  const complete = mirror.survey()
  complete.show(object('b', 'u2', '2'))
  complete.complete()
  expect(told.slice(2)).toEqual(['- default/a:u1@1'])
  expect([...mirror.values()]).toEqual(['default/b:u2@2'])
})

test('cluster-scoped objects are found without a namespace', () => {
  const { mirror } = watched()
  mirror.show({ metadata: { name: 'a', uid: 'u', resourceVersion: '1' } })
  expect(mirror.get('a', undefined)).toBe('undefined/a:u@1')
  expect(mirror.get('a', 'default')).toBeUndefined()
  expect(mirror.size).toBe(1)
})

test('whoever follows what is told knows what there is, whatever the mirror was shown', () => {
  const name = fc.constantFrom('a', 'b', 'c')
  const uid = fc.constantFrom('u1', 'u2')
  const version = fc.constantFrom('1', '2', '3')
  const one = fc.tuple(name, uid, version).map(([name, uid, version]) => object(name, uid, version))
  const step = fc.oneof(
    fc.record({ is: fc.constant('show' as const), one }),
    fc.record({ is: fc.constant('remove' as const), one }),
    fc.record({ is: fc.constant('survey' as const), all: fc.uniqueArray(one, { selector: (o) => o.metadata.name }) }),
  )
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const known = new Map<string, string>()
      const truth = new Map<string, KubernetesObject>()
      const nameIn = (kept: string): string => kept.split(':')[0] ?? ''
      const mirror = new Mirror(summary, {
        added(_object, kept) {
          expect(known.has(nameIn(kept))).toBe(false)
          known.set(nameIn(kept), kept)
        },
        modified(_object, kept, before) {
          expect(known.get(nameIn(kept))).toBe(before)
          expect(kept).not.toBe(before)
          known.set(nameIn(kept), kept)
        },
        deleted(kept) {
          expect(known.get(nameIn(kept))).toBe(kept)
          known.delete(nameIn(kept))
        },
      })
      for (const action of steps) {
        if (action.is === 'show') {
          mirror.show(action.one)
          truth.set(action.one.metadata.name ?? '', action.one)
        } else if (action.is === 'remove') {
          mirror.remove(action.one)
          const current = truth.get(action.one.metadata.name ?? '')
          if (current?.metadata.uid === action.one.metadata.uid) truth.delete(action.one.metadata.name ?? '')
        } else {
          const survey = mirror.survey()
          for (const shown of action.all) survey.show(shown)
          survey.complete()
          truth.clear()
          for (const shown of action.all) truth.set(shown.metadata.name ?? '', shown)
        }
        expect([...known.values()].sort()).toEqual([...truth.values()].map(summary).sort())
        expect([...mirror.values()].sort()).toEqual([...known.values()].sort())
      }
    }),
  )
})
