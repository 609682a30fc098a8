import { expect, test } from 'vitest'
import { asksFormerWebhook, formerWebhookWarnings, type ValidatingWebhookConfiguration } from './former-webhooks.ts'

type Client = NonNullable<ValidatingWebhookConfiguration['webhooks']>[number]['clientConfig']

function configuration(name: string, clientConfig: Client | undefined): ValidatingWebhookConfiguration {
  return { metadata: { name }, webhooks: [{ name: 'a.b.c', ...(clientConfig && { clientConfig }) }] }
}

const service = (name: string, path?: string) => ({ service: { namespace: 'spire', name, ...(path && { path }) } })

test.each<[string, boolean, ValidatingWebhookConfiguration]>([
  ['its documented name', true, configuration('k8s-workload-registrar-webhook', service('other', '/validate'))],
  [
    'its name and a URL',
    true,
    configuration('k8s-workload-registrar-webhook', { url: 'https://r.spire.svc/validate' }),
  ],
  ['its Service', true, configuration('mine', service('k8s-workload-registrar', '/validate'))],
  ['our Service', true, configuration('mine', service('podpass-registrar', '/validate'))],
  [
    'the check of SpiffeIDs',
    false,
    configuration(
      'k8s-workload-registrar',
      service('k8s-workload-registrar', '/validate-spiffeid-spiffe-io-v1beta1-spiffeid'),
    ),
  ],
  ["somebody else's", false, configuration('gatekeeper', service('gatekeeper', '/validate'))],
  ['its Service without a path', false, configuration('mine', service('k8s-workload-registrar'))],
  ['nothing', false, configuration('k8s-workload-registrar-webhook', undefined)],
  ['no webhooks', false, { metadata: { name: 'k8s-workload-registrar-webhook' } }],
])('%s: left over is %s', (_what, isFormer, object) => {
  expect(asksFormerWebhook(object)).toBe(isFormer)
})

test('a warning names the command that helps', async () => {
  const items = [configuration('left-over', service('k8s-workload-registrar', '/validate'))]
  const client = { list: async () => ({ items, resourceVersion: '1' }) }
  const warnings = await formerWebhookWarnings(client as never, new AbortController().signal)
  expect(warnings).toHaveLength(1)
  expect(warnings[0]).toContain('kubectl delete validatingwebhookconfiguration left-over')
})
