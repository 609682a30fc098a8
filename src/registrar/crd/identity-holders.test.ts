import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Identity } from '../desired/identity-text.ts'
import { type Claimant, IdentityHolders } from './identity-holders.ts'

const node = 'spiffe://example.org/k8s-workload-registrar/demo/node/n1'
const identity = (name: string, values = ['ns:shop', 'sa:web']): Identity => ({
  spiffeId: `spiffe://example.org/${name}`,
  parentId: node,
  selectors: values.map((value) => ({ type: 'k8s', value })),
})
const claimant = (name: string, createdAt: number): Claimant => ({ key: `spiffeid/shop/${name}`, uid: name, createdAt })

test('the oldest resource holds an identity, and the next one when it goes', () => {
  const holders = new IdentityHolders()
  expect(holders.claim(claimant('b', 2), identity('web'))).toEqual([])
  expect(holders.claim(claimant('a', 1), identity('web', ['sa:web', 'ns:shop']))).toEqual(['spiffeid/shop/b'])
  expect(holders.claim(claimant('c', 3), identity('web'))).toEqual([])
  expect(holders.holder(identity('web'))).toBe('spiffeid/shop/a')
  expect(holders.release('spiffeid/shop/a')).toEqual(['spiffeid/shop/b', 'spiffeid/shop/c'])
  expect(holders.holder(identity('web'))).toBe('spiffeid/shop/b')
})

test('another parent or other selectors are another identity', () => {
  const holders = new IdentityHolders()
  holders.claim(claimant('a', 1), identity('web'))
  expect(holders.holder({ ...identity('web'), parentId: `${node}2` })).toBeUndefined()
  expect(holders.holder(identity('web', ['ns:shop']))).toBeUndefined()
})

test('a resource that asks for the same again changes nothing for others', () => {
  const holders = new IdentityHolders()
  holders.claim(claimant('a', 1), identity('web'))
  holders.claim(claimant('b', 2), identity('web'))
  expect(holders.claim(claimant('a', 1), identity('web'))).toEqual([])
  expect(holders.claim(claimant('a', 1), identity('other'))).toEqual(['spiffeid/shop/b'])
  expect(holders.claim(claimant('a', 1), undefined)).toEqual([])
  expect(holders.holder(identity('other'))).toBeUndefined()
})

test('whatever is claimed and released in whatever order, the oldest claimant holds it, and who changes is told', () => {
  const names = fc.constantFrom('a', 'b', 'c', 'd')
  const step = fc.record({ name: names, wants: fc.option(fc.constantFrom('x', 'y')), gone: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const holders = new IdentityHolders()
      const wants = new Map<string, string>()
      const held = (): Map<string, boolean> =>
        new Map([...wants].map(([name, id]) => [name, holders.holder(identity(id)) === `spiffeid/shop/${name}`]))
      for (const { name, wants: wanted, gone } of steps) {
        const before = held()
        const told = gone
          ? holders.release(`spiffeid/shop/${name}`)
          : holders.claim(claimant(name, name.charCodeAt(0)), wanted === null ? undefined : identity(wanted))
        if (gone || wanted === null) wants.delete(name)
        else wants.set(name, wanted)
        for (const id of ['x', 'y']) {
          const oldest = [...wants]
            .filter(([, other]) => other === id)
            .map(([other]) => other)
            .toSorted()[0]
          expect(holders.holder(identity(id))).toBe(oldest === undefined ? undefined : `spiffeid/shop/${oldest}`)
        }
        const changed = [...held()].filter(([other, holds]) => other !== name && holds !== before.get(other))
        expect(told).toEqual(expect.arrayContaining(changed.map(([other]) => `spiffeid/shop/${other}`)))
      }
    }),
  )
})
