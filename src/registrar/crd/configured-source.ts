import { formatSpiffeId } from '../../spire/spiffe-id.ts'
import type { CrdConfig } from '../config/registrar-config.ts'
import type { IdentityRules } from '../desired/identity-rules.ts'
import type { ServedPods } from '../seen-objects.ts'
import { serviceNamesOf } from './service-names.ts'
import { SpiffeIdSource, type SpiffeIdSourceOptions } from './spiffe-id-source.ts'

export interface ConfiguredSourceOptions extends Pick<SpiffeIdSourceOptions, 'client' | 'ownId'> {
  readonly config: CrdConfig
  /** Of the same configuration. */
  readonly rules: IdentityRules
  /** The registrar's own. */
  readonly namespace: string
  /** The trust domains that the server has bundles of; undefined where that is not known, and then none is left out. */
  readonly bundles: () => ReadonlySet<string> | undefined
  /** Asked for the services that SpiffeIDs rest on. */
  readonly objects: () => ServedPods
}

/** SpiffeIDs as a configuration has them, to be shown one after the other. */
export function configuredSource(options: ConfiguredSourceOptions): SpiffeIdSource {
  const { config, rules, namespace, ownId, client, bundles, objects } = options
  const { trustDomain, cluster, aliasRoot } = rules
  return new SpiffeIdSource({
    rules: { identity: rules, namespace, allowDownstreamNamespaces: config.allowDownstreamNamespaces },
    ids: { prefix: config.entryIdPrefix, cluster },
    former: {
      serverId: formatSpiffeId({ trustDomain, path: '/spire/server' }),
      aliasRoot: formatSpiffeId({ trustDomain, path: aliasRoot }),
      cluster,
    },
    ownId,
    surroundings: (resource) => ({
      federated: bundles(),
      serviceNames: serviceNamesOf(resource, rules, objects()),
    }),
    client,
  })
}
