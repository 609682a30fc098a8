import type { AllowedIds } from '../config/allowed-ids.ts'
import type { PlainIdentityConfig, RegistrarConfig, TerminationPolicy } from '../config/registrar-config.ts'
import { parseSpiffeId } from '../../spire/spiffe-id.ts'
import { type PodTemplate, readDnsNameTemplate, readIdentityTemplate } from '../template/pod-template.ts'
import { registrarName, type ReservedIds, reservedIds } from './reserved-ids.ts'

/** What a configuration says of pods and nodes, ready for use: everything that does not depend on one of them is done. */
export interface IdentityRules {
  /** Without a scheme: `example.org`. */
  readonly trustDomain: string
  readonly cluster: string
  /** The path under which the aliases of nodes are: `/k8s-workload-registrar/demo/node`. */
  readonly aliasRoot: string
  /** How a node's alias is recognised: by name as reconcile mode does, or by UID. */
  readonly nodesBy: 'name' | 'uid'
  /** Whether a node's annotation adds federated trust domains to its alias. */
  readonly nodesFederate: boolean
  /** What is every pod's parent: its node's alias, or the one alias of the whole cluster. */
  readonly parents: 'node' | 'cluster'
  /** What pods' entries ask for: namespace and name; or UID, namespace and node. */
  readonly podsBy: 'name' | 'uid'
  readonly identity: IdentitySource
  readonly names: NameSource
  readonly disabledNamespaces: ReadonlySet<string>
  readonly allowedIds: AllowedIds | undefined
  readonly reserved: ReservedIds
  readonly termination: TerminationPolicy
}

/** Where a pod's SPIFFE ID comes from. */
export type IdentitySource =
  | PlainIdentityConfig
  | { readonly by: 'template'; readonly template: PodTemplate; readonly label: string | undefined }

/** Where a pod's DNS names come from. */
export type NameSource =
  | { readonly by: 'nothing' }
  /** Those that the cluster's DNS has for it. */
  | { readonly by: 'cluster dns'; readonly zone: string }
  | { readonly by: 'templates'; readonly templates: readonly PodTemplate[]; readonly services: boolean }

/**
 * Makes rules of a configuration.
 *
 * @param ownId - the registrar's own SPIFFE ID; undefined where it has none or it is not known
 * @throws {import('../template/pod-template.ts').PodTemplateError} where a template has no result for any pod
 */
export function identityRules(config: RegistrarConfig, ownId?: string): IdentityRules {
  const { mode, trustDomain, cluster, disabledNamespaces, allowedIds, termination } = config
  const controllerName = mode === 'reconcile' ? config.controllerName : registrarName
  const own = ownId === undefined ? undefined : parseSpiffeId(ownId)
  return {
    trustDomain,
    cluster,
    aliasRoot: `/${controllerName}/${cluster}/node`,
    nodesBy: mode === 'reconcile' ? 'name' : 'uid',
    nodesFederate: mode === 'reconcile',
    parents: mode === 'webhook' && !config.nodeParents ? 'cluster' : 'node',
    podsBy: mode === 'crd' ? 'uid' : 'name',
    identity: identitySource(config),
    names: nameSource(config),
    disabledNamespaces: new Set(disabledNamespaces),
    allowedIds,
    reserved: reservedIds(controllerName, own !== undefined && 'path' in own ? own.path : undefined),
    termination,
  }
}

function identitySource(config: RegistrarConfig): IdentitySource {
  const { identity } = config
  if (identity.by !== 'template') return identity
  const context = config.mode === 'crd' ? config.context : undefined
  return { by: 'template', template: readIdentityTemplate(identity.template, context), label: identity.label }
}

function nameSource(config: RegistrarConfig): NameSource {
  if (config.mode === 'reconcile' && config.podDnsNames) return { by: 'cluster dns', zone: config.clusterDnsZone }
  if (config.mode !== 'crd') return { by: 'nothing' }
  return {
    by: 'templates',
    templates: config.dnsNameTemplates.map((template) => readDnsNameTemplate(template, config.context)),
    services: config.serviceDnsNames,
  }
}
