import { socketPathProblem } from '../../runtime/socket-path.ts'
import { parseSpiffeId, trustDomainProblem } from '../../spire/spiffe-id.ts'
import type { Fields } from './fields.ts'
import { type Findings, placed } from './findings.ts'
import { modes } from './keys.ts'
import type { LogConfig, RegistrarMode, ServerAddress } from './registrar-config.ts'

/** What the old registrar read before it knew its mode. */
export interface Common {
  /** Undefined where the file names one that there is not. */
  readonly mode: RegistrarMode | undefined
  readonly server: ServerAddress
  readonly trustDomain: string
  readonly cluster: string
  readonly podLabel: string
  readonly podAnnotation: string
  readonly disabledNamespaces: readonly string[]
  readonly log: LogConfig
}

/** Where something is wrong, what it returns is of no use, and `findings` say why. */
export function readCommon(fields: Fields, findings: Findings): Common {
  // The order is the old registrar's.
  const server = readServer(fields, findings)
  const trustDomain = readTrustDomainKey(fields, findings)
  const cluster = readCluster(fields, findings)
  const podLabel = fields.text('pod_label')
  const podAnnotation = fields.text('pod_annotation')
  if (podLabel !== '' && podAnnotation !== '') {
    findings.common.push(
      "workload registration mode specification is incorrect, can't specify both pod_label and pod_annotation",
    )
  }
  const mode = readMode(fields, findings)
  const disabledNamespaces = readDisabledNamespaces(fields, findings)
  return {
    mode,
    server,
    trustDomain,
    cluster,
    podLabel,
    podAnnotation,
    disabledNamespaces,
    log: readLog(fields, findings, mode),
  }
}

const unixScheme = 'unix://'

function readServer(fields: Fields, findings: Findings): ServerAddress {
  const socketPath = fields.text('server_socket_path')
  const given = fields.text('server_address')
  const agentSocketPath = fields.text('agent_socket_path').replace(/^unix:\/\//, '')
  const { common, own, warnings, wrongKeys } = findings
  if (given !== '' && socketPath !== '' && given !== unixScheme + socketPath) {
    warnings.push(placed(fields.place('server_socket_path'), 'server_socket_path is ignored: server_address is used'))
  }
  const address = given === '' && socketPath !== '' ? unixScheme + socketPath : given
  if (address === '') {
    if (!wrongKeys.has('server_address') && !wrongKeys.has('server_socket_path'))
      common.push('server_address or server_socket_path must be specified')
    return { by: 'socket', path: '' }
  }
  if (address.startsWith(unixScheme)) {
    const path = address.slice(unixScheme.length)
    const key = given === '' ? 'server_socket_path' : 'server_address'
    const problem = path === '' ? `${key} has no path behind ${unixScheme}` : socketPathProblem(path)
    if (problem !== undefined) own.push(placed(fields.place(key), problem))
    return { by: 'socket', path }
  }
  if (agentSocketPath === '' && !wrongKeys.has('agent_socket_path'))
    common.push('agent_socket_path must be specified if the server is not a local socket')
  const target = address.replace(/^dns:\/\/\//, '')
  if (!/^(?:[^:/\s]+|\[[^\]/\s]+\]):\d{1,5}$/.test(target)) {
    const problem = `server_address must be host:port or unix:///path, and is ${JSON.stringify(address)}`
    own.push(placed(fields.place('server_address'), problem))
  }
  return { by: 'tcp', address: target, agentSocketPath }
}

function readTrustDomainKey(fields: Fields, { common, wrongKeys }: Findings): string {
  const text = fields.text('trust_domain')
  if (text === '') {
    if (!wrongKeys.has('trust_domain')) common.push('trust_domain must be specified')
    return ''
  }
  const { name, problem } = trustDomainOf(text)
  if (problem !== undefined) common.push(`malformed trust domain: ${problem}`)
  return name
}

/** A trust domain's name, or a SPIFFE ID for the trust domain in it, as go-spiffe reads either. */
function trustDomainOf(text: string): { readonly name: string; readonly problem?: string | undefined } {
  if (!text.includes(':/')) return { name: text, problem: trustDomainProblem(text) }
  const id = parseSpiffeId(text)
  return 'problem' in id ? { name: text, problem: id.problem } : { name: id.trustDomain }
}

function readCluster(fields: Fields, { common, own, wrongKeys }: Findings): string {
  const cluster = fields.text('cluster')
  if (cluster === '') {
    if (!wrongKeys.has('cluster')) common.push('cluster must be specified')
  } else {
    const problem = segmentProblem('cluster', cluster)
    if (problem !== undefined) own.push(placed(fields.place('cluster'), problem))
  }
  return cluster
}

/** Some values become a segment of SPIFFE IDs (SPIFFE-ID §2.2). */
export function segmentProblem(key: string, value: string): string | undefined {
  if (/^[A-Za-z0-9._-]+$/.test(value) && value !== '.' && value !== '..') return undefined
  return `${key} is a part of SPIFFE IDs: letters, numbers, dots, dashes and underscores, and is ${JSON.stringify(value)}`
}

function readMode(fields: Fields, { common, warnings, wrongKeys }: Findings): RegistrarMode | undefined {
  const text = fields.text('mode')
  const mode = modes.find((known) => known === text)
  if (mode !== undefined || wrongKeys.has('mode')) return mode
  if (fields.place('mode') !== undefined) {
    common.push(`invalid mode "${text}", valid values are crd, webhook and reconcile`)
    return undefined
  }
  warnings.push(
    'mode is not given, and webhook is taken, as the registrar before SPIRE 1.4 did: write which one is meant',
  )
  return 'webhook'
}

function readDisabledNamespaces(fields: Fields, { warnings }: Findings): readonly string[] {
  const namespaces = fields.texts('disabled_namespaces')
  // An empty list is one: no namespace is disabled.
  if (namespaces === undefined) return ['kube-system', 'kube-public']
  for (const name of namespaces) {
    if (/^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/.test(name)) continue
    const warning = `disabled_namespaces: ${JSON.stringify(name)} is no namespace's name; patterns are not known here`
    warnings.push(placed(fields.place('disabled_namespaces'), warning))
  }
  return namespaces
}

/** The names of logrus. */
const levels: Readonly<Record<string, LogConfig['level']>> = {
  panic: 'error',
  fatal: 'error',
  error: 'error',
  warn: 'warn',
  warning: 'warn',
  info: 'info',
  debug: 'debug',
  trace: 'debug',
}

function readLog(fields: Fields, { own, warnings }: Findings, mode: RegistrarMode | undefined): LogConfig {
  const level = fields.text('log_level')
  const format = fields.text('log_format').toLowerCase()
  const path = fields.text('log_path')
  const known = level === '' ? 'info' : levels[level.toLowerCase()]
  // In this mode the old registrar never looked at them, and a file may hold anything.
  const odd = mode === 'reconcile' ? warnings : own
  if (known === undefined) {
    odd.push(
      placed(fields.place('log_level'), `error setting up logging: not a valid logrus Level: ${JSON.stringify(level)}`),
    )
  }
  if (format !== '' && format !== 'text' && format !== 'json') {
    odd.push(
      placed(fields.place('log_format'), `error setting up logging: unknown logger format: ${JSON.stringify(format)}`),
    )
  }
  return { level: known ?? 'info', format: format === 'json' ? 'json' : 'text', path: path === '' ? undefined : path }
}
