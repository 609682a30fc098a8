import { didYouMean } from '../../runtime/did-you-mean.ts'
import type { RegistrarMode } from './registrar-config.ts'

/** A key of the file. */
export interface ConfigKey {
  readonly name: string
  readonly modes: readonly RegistrarMode[]
  /** Whether it is Podpass's own: no file of the old registrar has it. */
  readonly isNew: boolean
}

export const modes: readonly RegistrarMode[] = ['crd', 'webhook', 'reconcile']

const controllers: readonly RegistrarMode[] = ['crd', 'reconcile']

function former(names: readonly string[], of: readonly RegistrarMode[]): readonly ConfigKey[] {
  return names.map((name) => ({ name, modes: of, isNew: false }))
}

function own(names: readonly string[], of: readonly RegistrarMode[]): readonly ConfigKey[] {
  return names.map((name) => ({ name, modes: of, isNew: true }))
}

/** The keys that the old registrar read before it knew its mode. */
export const commonKeys = [
  'log_format',
  'log_level',
  'log_path',
  'trust_domain',
  'server_socket_path',
  'agent_socket_path',
  'server_address',
  'cluster',
  'pod_label',
  'pod_annotation',
  'mode',
  'disabled_namespaces',
]

/** Every key that there is. */
export const configKeys: readonly ConfigKey[] = [
  ...former(commonKeys, modes),
  ...former(['addr', 'cert_path', 'key_path', 'cacert_path', 'insecure_skip_client_verification'], ['webhook']),
  ...former(['controller_name', 'add_pod_dns_names', 'cluster_dns_zone'], ['reconcile']),
  // The old registrar had neither metrics nor a lock in its webhook mode.
  ...former(['metrics_addr'], ['reconcile', 'webhook']),
  ...former(['leader_election', 'leader_election_resource_lock'], [...controllers, 'webhook']),
  ...former(['metrics_bind_addr', 'pod_controller', 'add_svc_dns_name', 'context'], ['crd']),
  ...former(['identity_template', 'identity_template_label', 'dns_name_templates'], ['crd']),
  ...former(['webhook_enabled', 'webhook_port', 'webhook_cert_dir', 'webhook_service_name'], ['crd']),
  ...own(['allowed_ids', 'termination', 'delete_fuse', 'verify_interval', 'entry_id_prefix', 'kubeconfig'], modes),
  ...own(['fail_closed', 'node_parents'], ['webhook']),
  ...own(['allow_downstream_namespaces'], ['crd']),
]

/** The key by its name, in letters of any case. */
export function findKey(name: string): ConfigKey | undefined {
  const folded = name.toLowerCase()
  return configKeys.find((key) => key.name === folded)
}

/** The key that a mistyped name most likely stands for: one of the mode first. */
export function nearestKey(name: string, mode: RegistrarMode | undefined): ConfigKey | undefined {
  const ofMode = configKeys.filter((key) => mode === undefined || key.modes.includes(mode))
  const nearest = (keys: readonly ConfigKey[]): string | undefined =>
    didYouMean(
      name,
      keys.map((key) => key.name),
    )
  const meant = nearest(ofMode) ?? nearest(configKeys)
  return meant === undefined ? undefined : findKey(meant)
}
