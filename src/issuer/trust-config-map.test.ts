import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseConfiguredTrust } from './trust-config-map.ts'

test.each([
  ['example.com/serving=trust/roots', { namespace: 'trust', name: 'roots', key: 'ca.crt' }],
  ['example.com/serving=trust/roots.v1/serving.pem', { namespace: 'trust', name: 'roots.v1', key: 'serving.pem' }],
])('%s names a ConfigMap', (text, configMap) => {
  expect(parseConfiguredTrust(text)).toEqual({ signerName: 'example.com/serving', configMap })
})

test.each([
  '',
  'example.com/serving',
  'example.com=trust/roots',
  'example.com/serving=roots',
  'example.com/serving=trust/',
  'example.com/serving=Trust/roots',
  'example.com/serving=trust/roots/',
  'example.com/serving=trust/roots/a/b',
  'example.com/serving=trust/roots/a b',
])('%j is refused with what is allowed', (text) => {
  expect(() => parseConfiguredTrust(text)).toThrow('expected SIGNER=NAMESPACE/CONFIGMAP[/KEY]')
})

test('what is written of its parts is read as its parts', () => {
  const part = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?$/)
  fc.assert(
    fc.property(part, part, part, fc.stringMatching(/^[-._A-Za-z0-9]{1,20}$/), (path, namespace, name, key) => {
      const signerName = `example.com/${path}`
      const read = parseConfiguredTrust(`${signerName}=${namespace}/${name}/${key}`)
      expect(read).toEqual({ signerName, configMap: { namespace, name, key } })
    }),
  )
})
