import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { generateName, labelProblem, podTemplateHash, subdomainProblem } from './names.ts'

const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

test('a generated name is a base and five letters that no word can be made of', () => {
  fc.assert(
    fc.property(fc.array(random, { minLength: 5, maxLength: 5 }), (numbers) => {
      const name = generateName('web-', () => numbers.pop() ?? 0)
      expect(name).toMatch(/^web-[bcdfghjklmnpqrstvwxz2456789]{5}$/)
    }),
  )
})

test('a long base is cut, so that the name stays a label', () => {
  expect(generateName('x'.repeat(100), () => 0)).toBe(`${'x'.repeat(58)}bbbbb`)
})

test('a template has always the same hash, and another one another', () => {
  const template = { spec: { containers: [{ name: 'a' }] } }
  expect(podTemplateHash(template)).toBe(podTemplateHash(structuredClone(template)))
  expect(podTemplateHash(template)).not.toBe(podTemplateHash({ ...template, metadata: {} }))
  expect(podTemplateHash(template)).toMatch(/^[bcdfghjklmnpqrstvwxz2456789]{1,10}$/)
})

test.each(['tls', 'a', '0', 'a-b', 'x'.repeat(63)])('%s names a volume', (name) => {
  expect(labelProblem(name)).toBeUndefined()
})

test.each(['', 'A', 'a.b', '-a', 'a-', '..', 'a/b', 'ä', 'x'.repeat(64), 'a\n'])(
  '%j does not name a volume',
  (name) => {
    expect(labelProblem(name)).toBeTypeOf('string')
  },
)

test.each(['my-csi-app', 'a.b.c', 'x'.repeat(253)])('%s names a pod', (name) => {
  expect(subdomainProblem(name)).toBeUndefined()
})

test.each(['', 'My', 'a..b', '.a', 'a.', '../a', 'x'.repeat(254), 'a\n'])('%j does not name a pod', (name) => {
  expect(subdomainProblem(name)).toBeTypeOf('string')
})
