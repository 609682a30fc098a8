import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { asLabels, asUriParts, podVariables } from './variables.ts'

const pod = { name: 'web-0', namespace: 'sandbox', uid: 'u', serviceAccount: 'web' }

test('the node is a variable where it is known', () => {
  expect(podVariables(pod, undefined)).toEqual({
    POD_NAME: 'web-0',
    POD_NAMESPACE: 'sandbox',
    POD_UID: 'u',
    SERVICE_ACCOUNT_NAME: 'web',
  })
  expect(podVariables(pod, 'node-1')).toMatchObject({ NODE_NAME: 'node-1' })
})

test.each(['web-0', 'ip-10-0-0-1.eu.example', 'system:node', 'a_b', ''])('the value %j stands as it is', (value) => {
  expect(asLabels({ A: value })).toEqual({ A: value })
  expect(asUriParts({ A: value })).toEqual({ A: value })
})

test('any other value is one label at most, and one part of a URI', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      fc.pre(!/^[A-Za-z0-9._:-]*$/.test(value))
      expect(asLabels({ A: value })['A']).toMatch(/^(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)?$/)
      expect(asUriParts({ A: value })['A']).toMatch(/^(?:[\w.~!*'()-]|%[0-9A-F]{2})*$/)
    }),
  )
})
