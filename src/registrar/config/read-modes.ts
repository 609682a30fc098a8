import { parseAddress } from '../../runtime/metrics-server.ts'
import type { Fields } from './fields.ts'
import { type Findings, placed } from './findings.ts'
import { type Common, segmentProblem } from './read-common.ts'
import { readLeadership } from './read-leadership.ts'
import { readSafety } from './read-safety.ts'
import type {
  CommonConfig,
  CrdConfig,
  IdentityConfig,
  PlainIdentityConfig,
  ReconcileConfig,
  RegistrarConfig,
  RegistrarMode,
  WebhookConfig,
} from './registrar-config.ts'

/** Reads the keys of a mode, and those that all modes have got since. */
export function readMode(mode: RegistrarMode, fields: Fields, common: Common, findings: Findings): RegistrarConfig {
  switch (mode) {
    case 'webhook':
      return readWebhook(fields, common, findings)
    case 'reconcile':
      return readReconcile(fields, common, findings)
    case 'crd':
      return readCrd(fields, common, findings)
  }
}

function readWebhook(fields: Fields, common: Common, findings: Findings): WebhookConfig {
  const address = readAddress(fields, findings, 'addr', ':8443')
  const skip = fields.boolean('insecure_skip_client_verification', false)
  return {
    mode: 'webhook',
    ...shared(fields, common, findings),
    identity: plainIdentity(common),
    // The old registrar held none in this mode. Of the lock of the other modes two replicas never have different modes, as while one is
    // changed.
    leaderElection: readLeadership(fields, findings, 'spire-k8s-registrar-leader-election'),
    // The old registrar served none in this mode, and the port may be taken in its pod.
    metricsAddress: readAddress(fields, findings, 'metrics_addr', '0'),
    webhook: {
      address,
      certificatePath: textOr(fields, 'cert_path', 'cert.pem'),
      keyPath: textOr(fields, 'key_path', 'key.pem'),
      clientCaPath: skip ? undefined : textOr(fields, 'cacert_path', 'cacert.pem'),
      failClosed: fields.boolean('fail_closed', false),
    },
    nodeParents: fields.boolean('node_parents', false),
  }
}

function readReconcile(fields: Fields, common: Common, findings: Findings): ReconcileConfig {
  const controllerName = textOr(fields, 'controller_name', 'spire-k8s-registrar')
  const problem = segmentProblem('controller_name', controllerName)
  if (problem !== undefined) findings.own.push(placed(fields.place('controller_name'), problem))
  const podDnsNames = fields.boolean('add_pod_dns_names', false)
  const clusterDnsZone = textOr(fields, 'cluster_dns_zone', 'cluster.local')
  if (podDnsNames && !/^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i.test(clusterDnsZone)) {
    const text = `cluster_dns_zone must be a domain such as cluster.local, and is ${JSON.stringify(clusterDnsZone)}`
    findings.own.push(placed(fields.place('cluster_dns_zone'), text))
  }
  return {
    mode: 'reconcile',
    ...shared(fields, common, findings),
    identity: plainIdentity(common),
    leaderElection: readLeadership(fields, findings, `${controllerName}-leader-election`),
    metricsAddress: readAddress(fields, findings, 'metrics_addr', ':8080'),
    controllerName,
    podDnsNames,
    clusterDnsZone,
  }
}

function readCrd(fields: Fields, common: Common, findings: Findings): CrdConfig {
  const context = fields.map('context')
  const dnsNameTemplates = fields.texts('dns_name_templates')
  return {
    mode: 'crd',
    ...shared(fields, common, findings),
    identity: readCrdIdentity(fields, common, findings, context, dnsNameTemplates ?? []),
    leaderElection: readLeadership(fields, findings, 'spire-k8s-registrar-leader-election'),
    metricsAddress: readAddress(fields, findings, 'metrics_bind_addr', ':8080'),
    podController: fields.boolean('pod_controller', true),
    serviceDnsNames: fields.boolean('add_svc_dns_name', true),
    // An empty list is one: pods get no names.
    dnsNameTemplates: dnsNameTemplates ?? ['{{.Pod.Name}}'],
    context,
    allowDownstreamNamespaces: fields.texts('allow_downstream_namespaces') ?? [],
    webhook: readCrdWebhook(fields, findings),
  }
}

function readCrdIdentity(
  fields: Fields,
  common: Common,
  { mode, wrongKeys }: Findings,
  context: CrdConfig['context'],
  dnsNameTemplates: readonly string[],
): IdentityConfig {
  const template = fields.text('identity_template')
  const label = fields.text('identity_template_label')
  const plain = plainIdentity(common)
  if (template !== '' && plain.by !== 'service-account') {
    mode.push(
      'workload registration configuration is incorrect, can only use one of identity_template, pod_annotation, or pod_label',
    )
  }
  if (context === undefined && !wrongKeys.has('context')) {
    if (refersToContext(template)) mode.push('identity_template references non-existing context')
    if (dnsNameTemplates.some(refersToContext)) mode.push('dns_name_template references non-existing context')
  }
  if (plain.by !== 'service-account') return plain
  return {
    by: 'template',
    template: template === '' ? 'ns/{{.Pod.Namespace}}/sa/{{.Pod.ServiceAccount}}' : template,
    label: label === '' ? undefined : label,
  }
}

/** What the old registrar looked for. Every other way to it is found when the template is tried. */
function refersToContext(template: string): boolean {
  return template.replaceAll(' ', '').includes('{{.Context.')
}

function readCrdWebhook(fields: Fields, { own }: Findings): CrdConfig['webhook'] {
  const port = fields.integer('webhook_port') ?? 0
  if (port < 0 || port > 65_535) {
    own.push(placed(fields.place('webhook_port'), `webhook_port must be from 1 to 65535, and is ${port}`))
  }
  const webhook = {
    port: port === 0 ? 9443 : port,
    certificateDirectory: textOr(fields, 'webhook_cert_dir', '/run/spire/serving-certs'),
    serviceName: textOr(fields, 'webhook_service_name', 'k8s-workload-registrar'),
  }
  return fields.boolean('webhook_enabled', false) ? webhook : undefined
}

function plainIdentity({ podLabel, podAnnotation }: Common): PlainIdentityConfig {
  if (podLabel !== '') return { by: 'label', key: podLabel }
  return podAnnotation === '' ? { by: 'service-account' } : { by: 'annotation', key: podAnnotation }
}

type Shared = Omit<CommonConfig, 'identity' | 'leaderElection' | 'metricsAddress'>

function shared(fields: Fields, common: Common, findings: Findings): Shared {
  const { server, trustDomain, cluster, disabledNamespaces, log } = common
  return { server, trustDomain, cluster, disabledNamespaces, log, ...readSafety(fields, findings) }
}

function textOr(fields: Fields, key: string, standard: string): string {
  const text = fields.text(key)
  return text === '' ? standard : text
}

/** @param standard - `0` where the key may switch it off */
function readAddress(fields: Fields, { own }: Findings, key: string, standard: string): string {
  const address = textOr(fields, key, standard)
  if (address === '0' && key !== 'addr') return address
  try {
    const { port } = parseAddress(address)
    if (port > 65_535) throw new RangeError('no such port')
  } catch {
    const nowhere = key === 'addr' ? '' : ', or 0 for nowhere'
    const problem = `${key} must be host:port or :port${nowhere}, and is ${JSON.stringify(address)}`
    own.push(placed(fields.place(key), problem))
  }
  return address
}
