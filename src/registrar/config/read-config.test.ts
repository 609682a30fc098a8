import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { RegistrarConfigError } from './config-error.ts'
import { configKeys } from './keys.ts'
import { parseRegistrarConfig, readRegistrarConfig } from './read-config.ts'

const minimal = `
trust_domain = "example.org"
cluster = "production"
server_socket_path = "/run/spire/api.sock"
`

const config = (more = '') => parseRegistrarConfig(minimal + more).config
const warnings = (more = '') => parseRegistrarConfig(minimal + more).warnings

/** Everything that is wrong; nothing where the file is read. */
function problems(text: string): readonly string[] {
  try {
    parseRegistrarConfig(text)
    return []
  } catch (error) {
    if (error instanceof RegistrarConfigError) return error.problems
    throw error
  }
}

/** What all modes have in common where the file says no more than it must. */
const standard = {
  trustDomain: 'example.org',
  cluster: 'production',
  server: { by: 'socket', path: '/run/spire/api.sock' },
  identity: { by: 'service-account' },
  disabledNamespaces: ['kube-system', 'kube-public'],
  allowedIds: undefined,
  termination: 'when_ended',
  deleteFuse: { maxCount: 50, maxFraction: 0.3 },
  verifyInterval: 600_000,
  entryIdPrefix: 'podpass',
  metricsAddress: ':8080',
  log: { level: 'info', format: 'text', path: undefined },
  kubeconfig: undefined,
}

test('without a mode the old default is taken, with a warning, and each key has its default', () => {
  expect(config()).toEqual({
    ...standard,
    mode: 'webhook',
    leaderElection: { enabled: false, name: 'spire-k8s-registrar-leader-election', formerLock: 'configmaps' },
    metricsAddress: '0',
    webhook: {
      address: ':8443',
      certificatePath: 'cert.pem',
      keyPath: 'key.pem',
      clientCaPath: 'cacert.pem',
      failClosed: false,
    },
    nodeParents: false,
  })
  expect(warnings()).toEqual([expect.stringMatching(/^mode is not given, and webhook is taken/)])
  expect(warnings('mode = "webhook"')).toEqual([])
})

test('reconcile mode has its defaults', () => {
  expect(config('mode = "reconcile"')).toEqual({
    ...standard,
    mode: 'reconcile',
    leaderElection: { enabled: false, name: 'spire-k8s-registrar-leader-election', formerLock: 'configmaps' },
    controllerName: 'spire-k8s-registrar',
    podDnsNames: false,
    clusterDnsZone: 'cluster.local',
  })
  expect(warnings('mode = "reconcile"')).toEqual([])
})

test('crd mode has its defaults', () => {
  expect(config('mode = "crd"')).toEqual({
    ...standard,
    mode: 'crd',
    identity: { by: 'template', template: 'ns/{{.Pod.Namespace}}/sa/{{.Pod.ServiceAccount}}', label: undefined },
    leaderElection: { enabled: false, name: 'spire-k8s-registrar-leader-election', formerLock: 'configmaps' },
    podController: true,
    serviceDnsNames: true,
    dnsNameTemplates: ['{{.Pod.Name}}'],
    context: undefined,
    allowDownstreamNamespaces: [],
    webhook: undefined,
  })
})

const everyKey = {
  webhook: `
mode = "webhook"
log_level = "WARNING"
log_format = "json"
log_path = "/var/log/registrar.log"
agent_socket_path = "unix:///run/agent.sock"
pod_label = "spire-workload"
disabled_namespaces = []
addr = "127.0.0.1:1234"
cert_path = "/c"
key_path = "/k"
cacert_path = "/ca"
insecure_skip_client_verification = "TRUE"
metrics_addr = ":9"
leader_election = 1
leader_election_resource_lock = "leases"
fail_closed = true
node_parents = true
termination = "at_deletion"
delete_fuse { max_count = "7" max_fraction = 1 }
verify_interval = "1h"
entry_id_prefix = "mine"
kubeconfig = "/kube/config"
allowed_ids { "team-*" = ["teams/{namespace}/*", "/x/**"], kube-x = [] }
`,
  reconcile: `
mode = "reconcile"
server_address = "spire.example.org:8081"
agent_socket_path = "/run/agent.sock"
pod_annotation = "example.org/id"
metrics_addr = "0"
leader_election = true
leader_election_resource_lock = "leases"
controller_name = "mine"
add_pod_dns_names = true
cluster_dns_zone = "cluster.example"
allowed_ids { "*" = ["/ns/{namespace}/**"] }
`,
  crd: `
mode = "crd"
add_svc_dns_name = false
pod_controller = false
leader_election = true
leader_election_resource_lock = "configmapsleases"
metrics_bind_addr = "[::1]:9090"
webhook_enabled = true
webhook_port = 1234
webhook_cert_dir = "/certs"
webhook_service_name = "other"
identity_template = "region/{{ .Context.Region }}/{{.Pod.Name}}"
identity_template_label = "identity"
dns_name_templates = []
context { Region = "EU" Zone = 1 }
allow_downstream_namespaces = ["spire"]
`,
}

test('webhook mode takes each of its keys', () => {
  expect(config(everyKey.webhook)).toEqual({
    ...standard,
    mode: 'webhook',
    identity: { by: 'label', key: 'spire-workload' },
    disabledNamespaces: [],
    allowedIds: [
      { namespaces: 'team-*', paths: ['/teams/{namespace}/*', '/x/**'] },
      { namespaces: 'kube-x', paths: [] },
    ],
    termination: 'at_deletion',
    deleteFuse: { maxCount: 7, maxFraction: 1 },
    verifyInterval: 3_600_000,
    entryIdPrefix: 'mine',
    leaderElection: { enabled: true, name: 'spire-k8s-registrar-leader-election', formerLock: undefined },
    metricsAddress: ':9',
    log: { level: 'warn', format: 'json', path: '/var/log/registrar.log' },
    kubeconfig: '/kube/config',
    webhook: {
      address: '127.0.0.1:1234',
      certificatePath: '/c',
      keyPath: '/k',
      clientCaPath: undefined,
      failClosed: true,
    },
    nodeParents: true,
  })
})

test('reconcile mode takes each of its keys', () => {
  const text = minimal.replace(/server_socket_path.*/, '') + everyKey.reconcile
  expect(parseRegistrarConfig(text).config).toMatchObject({
    server: { by: 'tcp', address: 'spire.example.org:8081', agentSocketPath: '/run/agent.sock' },
    identity: { by: 'annotation', key: 'example.org/id' },
    metricsAddress: '0',
    leaderElection: { enabled: true, name: 'mine-leader-election', formerLock: undefined },
    controllerName: 'mine',
    podDnsNames: true,
    clusterDnsZone: 'cluster.example',
  })
})

test('crd mode takes each of its keys', () => {
  expect(config(everyKey.crd)).toMatchObject({
    identity: { by: 'template', template: 'region/{{ .Context.Region }}/{{.Pod.Name}}', label: 'identity' },
    leaderElection: { enabled: true, formerLock: 'configmaps' },
    metricsAddress: '[::1]:9090',
    podController: false,
    serviceDnsNames: false,
    dnsNameTemplates: [],
    context: { Region: 'EU', Zone: '1' },
    allowDownstreamNamespaces: ['spire'],
    webhook: { port: 1234, certificateDirectory: '/certs', serviceName: 'other' },
  })
})

test('a file in JSON is the same', () => {
  const json = {
    trust_domain: 'example.org',
    cluster: 'production',
    server_socket_path: '/run/spire/api.sock',
    mode: 'crd',
  }
  const rest = { context: { Region: 'EU' }, disabled_namespaces: ['a'], webhook_port: 1, pod_controller: 'false' }
  const read = parseRegistrarConfig(JSON.stringify({ ...json, ...rest }))
  const hcl =
    'mode = "crd" context { Region = "EU" } disabled_namespaces = ["a"] webhook_port = 1 pod_controller = false'
  expect(read.config).toEqual(config(hcl))
})

const prefix = 'error parsing common config: '

test('what the old registrar said stands first, in its words, and all else that is wrong below', () => {
  expect(problems('')).toEqual([
    `${prefix}server_address or server_socket_path must be specified`,
    `${prefix}trust_domain must be specified`,
    `${prefix}cluster must be specified`,
  ])
  expect(problems('INVALID')[0]).toMatch(/^error parsing common config: unable to decode configuration: At 1:8: /)
  const wrong = `
server_address = "spire:8081"
trust_domain = "Example.org"
cluster = "a b"
pod_label = "a"
pod_annotation = "b"
mode = "Crd"
delete_fuse { max_fraction = 2 }
`
  expect(problems(wrong)).toEqual([
    `${prefix}agent_socket_path must be specified if the server is not a local socket`,
    `${prefix}malformed trust domain: trust domain characters are limited to lowercase letters, numbers, dots, dashes, and underscores`,
    `${prefix}workload registration mode specification is incorrect, can't specify both pod_label and pod_annotation`,
    `${prefix}invalid mode "Crd", valid values are crd, webhook and reconcile`,
    'At 4:1: cluster is a part of SPIFFE IDs: letters, numbers, dots, dashes and underscores, and is "a b"',
  ])
})

test.each([
  [
    'identity_template = "a" pod_label = "b"',
    /^workload registration configuration is incorrect, can only use one of /,
  ],
  ['identity_template = "{{ .Context.A }}"', /^identity_template references non-existing context$/],
  ['dns_name_templates = ["a", "{{.Context.A}}"]', /^dns_name_template references non-existing context$/],
])('crd mode refuses %s', (text, message) => {
  expect(problems(`${minimal}mode = "crd"\n${text}`)[0]).toMatch(message)
})

test('a template may refer to a context that is empty', () => {
  expect(config('mode = "crd" context {} identity_template = "{{.Context.A}}"')).toMatchObject({ context: {} })
})

test('a value of another type is told once, and not as missing', () => {
  expect(problems('trust_domain = ["a"] cluster = true server_address = {} mode = 1.5 addr = []')).toEqual([
    `${prefix}unable to decode configuration: At 1:54: server_address must be a text, and is a block`,
    `${prefix}unable to decode configuration: At 1:16: trust_domain must be a text, and is a list`,
    `${prefix}unable to decode configuration: At 1:32: cluster must be a text, and is true`,
    `${prefix}unable to decode configuration: At 1:64: mode must be a text, and is the number 1.5`,
  ])
  expect(problems(`${minimal}addr = []`)).toEqual([
    'unable to decode configuration: At 5:8: addr must be a text, and is a list',
  ])
})

test.each([
  ['verify_interval = 10', 'verify_interval must be a duration from 1s to 596h, such as 10m, and is "10"'],
  ['verify_interval = "0s"', 'verify_interval must be a duration'],
  ['termination = "never"', 'termination must be at_deletion, when_ended or when_gone, and is "never"'],
  ['entry_id_prefix = "a/b"', 'entry_id_prefix must be 1 to 64 letters'],
  ['delete_fuse { max_counts = 1 }', 'delete_fuse has no key "max_counts", did you mean max_count?'],
  ['delete_fuse { max_count = -1 }', 'delete_fuse.max_count must not be negative'],
  ['delete_fuse { max_fraction = "x" }', 'delete_fuse.max_fraction must be a number, and is a text'],
  ['addr = "8443"', 'addr must be host:port or :port, and is "8443"'],
  ['addr = "0"', 'addr must be host:port or :port, and is "0"'],
  ['metrics_addr = ":70000"', 'metrics_addr must be host:port or :port, or 0 for nowhere, and is ":70000"'],
  ['leader_election_resource_lock = "lease"', 'leader_election_resource_lock must be leases, and is "lease"'],
  ['log_level = "loud"', 'error setting up logging: not a valid logrus Level: "loud"'],
  [
    'server_address = "spire" agent_socket_path = "/a"',
    'server_address must be host:port or unix:///path, and is "spire"',
  ],
  ['allowed_ids { "a" = ["/a//b"] }', 'allowed_ids."a": "/a//b" has an empty segment'],
  ['allowed_ids { "a" = ["/**/b"] }', 'allowed_ids."a": "/**/b" has ** elsewhere than as its whole last segment'],
  ['allowed_ids { "a" = ["/{pod}"] }', 'allowed_ids."a": "/{pod}" has {pod}; only {namespace} is known'],
  ['allowed_ids { "a" = ["/a/../b"] }', 'allowed_ids."a": "/a/../b" has a dot segment'],
  ['allowed_ids { "a" = ["spiffe://x/y"] }', 'allowed_ids."a": "spiffe://x/y" must be a path, without spiffe://'],
  ['allowed_ids { "a" = "/b" }', 'allowed_ids."a" must be a list of paths, and is a text'],
  ['allowed_ids { "A b" = ["/b"] }', 'allowed_ids."A b" is no namespace'],
  ['alowed_ids {}', 'there is no key "alowed_ids", did you mean allowed_ids?'],
])('%s is refused', (text, message) => {
  const [first, ...more] = problems(minimal + text)
  expect(first).toContain(message)
  expect(first).toMatch(/^At 5:\d+: /)
  expect(more).toEqual([])
})

test.each([
  ['reconcile', 'controller_name = "a/b"', 'controller_name is a part of SPIFFE IDs'],
  ['reconcile', 'controller_name = "A" leader_election = true', 'controller_name begins the name of the lock'],
  ['reconcile', 'add_pod_dns_names = true cluster_dns_zone = "a_b."', 'cluster_dns_zone must be a domain'],
  ['crd', 'webhook_port = 65536', 'webhook_port must be from 1 to 65535, and is 65536'],
])('%s mode refuses %s', (mode, text, message) => {
  expect(problems(`${minimal}mode = "${mode}"\n${text}`)).toEqual([expect.stringContaining(message)])
})

test.each([
  ['crd', 'add_svc_dns_names = true', 'At 6:1: there is no key "add_svc_dns_names", did you mean add_svc_dns_name?'],
  [
    'crd',
    'metrics_addr = ":1"',
    'At 6:1: metrics_addr does nothing in crd mode: it is a key of reconcile and webhook mode',
  ],
  ['crd', 'quite_other = 1', 'At 6:1: there is no key "quite_other"'],
  ['webhook', 'cluster = "b"', 'At 6:1: cluster is given more than once: the last one counts'],
  ['webhook', 'server_address = "unix:///b"', 'server_socket_path is ignored: server_address is used'],
  ['webhook', 'disabled_namespaces = ["kube-*"]', `"kube-*" is no namespace's name; patterns are not known here`],
  ['webhook', 'verify_interval = "1m"', 'verify_interval 1m: each time, the server lists all of its entries'],
  ['webhook', 'pod_label = "id"', 'whoever may set the label id of a pod may take any SPIFFE ID of the trust domain'],
  ['reconcile', 'pod_annotation = "id"', 'whoever may set the annotation id of a pod may take any SPIFFE ID'],
  ['crd', '', 'whoever may create SpiffeIDs may take any SPIFFE ID'],
  ['reconcile', 'log_level = "loud"', 'not a valid logrus Level'],
  [
    'reconcile',
    'leader_election_resource_lock = "configmaps"',
    'a Lease is held, and the older lock with it while it exists',
  ],
])('%s mode starts with a warning about %s', (mode, text, message) => {
  expect(warnings(`mode = "${mode}"\n${text}`)).toContainEqual(expect.stringContaining(message))
})

test('with allowed_ids nobody may take what they like, and there is no warning', () => {
  const rule = 'allowed_ids { "*" = ["/ns/{namespace}/**"] }'
  expect(warnings(`mode = "webhook" pod_label = "id" ${rule}`)).toEqual([])
  expect(warnings(`mode = "crd" ${rule}`)).toEqual([])
})

test('a SPIFFE ID stands for its trust domain', () => {
  const text = minimal.replace('"example.org"', '"spiffe://example.org/a"')
  expect(parseRegistrarConfig(text).config.trustDomain).toBe('example.org')
  expect(problems(minimal.replace('"example.org"', '"http://example.org"'))).toEqual([
    `${prefix}malformed trust domain: scheme is missing or invalid`,
  ])
})

test('every key is described in the documentation', async () => {
  const documentation = await readFile(new URL('../../../docs/registrar.md', import.meta.url), 'utf8')
  expect(configKeys.map(({ name }) => name).filter((name) => !documentation.includes(`\n| \`${name}\``))).toEqual([])
})

test('every key of every mode appears in the files above, so that none is without a test', () => {
  const all = minimal + Object.values(everyKey).join('')
  expect(configKeys.map(({ name }) => name).filter((name) => !new RegExp(`\\b${name}\\b`).test(all))).toEqual([])
})

test('whatever values the keys have, a file is read, or refused with all that is wrong, each once', () => {
  const key = fc.constantFrom('x', ...configKeys.map(({ name }) => name))
  const plain = fc.constantFrom('"a"', '""', '1', '-1', '1.5', 'true', '":1"', '"crd"')
  const nested = fc.constantFrom('[]', '["a", 1]', '[{}]', '{}', '{ a = 1 }', '{ a = ["/b"] }')
  const line = fc.tuple(key, fc.oneof(plain, nested)).map(([name, value]) => `${name} = ${value}\n`)
  const start = fc.constantFrom('', minimal, `${minimal}mode = "crd"\n`, `${minimal}mode = "reconcile"\n`)
  fc.assert(
    fc.property(start, fc.array(line), (first, lines) => {
      const found = problems(first + lines.join(''))
      expect(new Set(found).size).toBe(found.length)
    }),
    { numRuns: 1000 },
  )
})

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'registrar-config-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

test('a file is read from disk', async () => {
  const path = join(folder, 'registrar.conf')
  await writeFile(path, minimal)
  expect((await readRegistrarConfig(path)).config).toEqual(config())
})

test('a file that is missing, no text, or far too large cannot be loaded', async () => {
  const path = join(folder, 'odd.conf')
  await expect(readRegistrarConfig(path)).rejects.toThrow(/^unable to load configuration: ENOENT/)
  await writeFile(path, Buffer.from([0x61, 0xff]))
  await expect(readRegistrarConfig(path)).rejects.toThrow(/unable to decode configuration: the file is not UTF-8$/)
  await writeFile(path, Buffer.alloc((1 << 20) + 1, 0x20))
  await expect(readRegistrarConfig(path)).rejects.toThrow(/is larger than 1048576 bytes$/)
})
