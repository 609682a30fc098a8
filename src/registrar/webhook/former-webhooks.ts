import type { KubernetesClient } from '../../kubernetes/client.ts'
import type { KubernetesObject } from '../../kubernetes/object.ts'
import type { Resource } from '../../kubernetes/resource.ts'

/** admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration, as far as it says whom it asks. */
export interface ValidatingWebhookConfiguration extends KubernetesObject {
  readonly webhooks?: readonly {
    readonly name: string
    readonly clientConfig?: {
      readonly url?: string
      readonly service?: { readonly namespace: string; readonly name: string; readonly path?: string }
    }
  }[]
}

export const validatingWebhookConfigurations: Resource<ValidatingWebhookConfiguration> = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  plural: 'validatingwebhookconfigurations',
  kind: 'ValidatingWebhookConfiguration',
  namespaced: false,
}

/** The name that SPIRE's registrar and its documentation give the configuration of the mode webhook. */
const formerName = 'k8s-workload-registrar-webhook'
/** The Services that it names: the former registrar's, and the one of our own manifests. */
const services: ReadonlySet<string | undefined> = new Set(['k8s-workload-registrar', 'podpass-registrar'])

/** Whether a configuration asks the mode webhook of SPIRE's registrar, or of this one, about pods. */
export function asksFormerWebhook({ metadata, webhooks = [] }: ValidatingWebhookConfiguration): boolean {
  return webhooks.some(({ clientConfig: { url, service } = {} }) => {
    const path = service === undefined ? url?.replace(/^https?:\/\/[^/]*/, '').replace(/\?.*/s, '') : service.path
    return path === '/validate' && (metadata.name === formerName || services.has(service?.name))
  })
}

/**
 * Finds configurations that were left over from the mode webhook. While nobody answers them, and their failurePolicy is the default
 * one, no pod can be created or deleted in the cluster.
 *
 * @returns a warning each, with the command that helps
 * @throws {ApiError} where the right to list them is missing, among others
 */
export async function formerWebhookWarnings(
  client: Pick<KubernetesClient, 'list'>,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { items } = await client.list(validatingWebhookConfigurations, { signal })
  return items.filter(asksFormerWebhook).map(({ metadata: { name = '' } }) => {
    const trouble = 'nobody answers it in this mode, so that the API server may refuse to create and delete pods'
    return `the ValidatingWebhookConfiguration ${name} is left over from the mode webhook, and ${trouble}; remove it: kubectl delete validatingwebhookconfiguration ${name}`
  })
}
