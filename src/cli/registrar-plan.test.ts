import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

// The commands as people start them, on real files.

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podpass-registrar-plan-'))
  await mkdir(join(folder, 'manifests'))
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder, name), text)))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

const main = new URL('main.ts', import.meta.url).pathname

/** Runs it in the folder, as without a cluster. */
function registrar(args: readonly string[], input = ''): Promise<Ended> {
  return new Promise((resolve) => {
    const { PATH, NODE_COMPILE_CACHE } = process.env
    const options = { cwd: folder, env: { PATH, NODE_COMPILE_CACHE, KUBERNETES_SERVICE_HOST: '' } }
    const child = execFile(process.execPath, [main, 'registrar', ...args], options, (error, out, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err })
    })
    child.stdin?.end(input)
  })
}

const common = `
  trust_domain = "example.org"
  cluster = "demo"
  server_socket_path = "/run/spire/server.sock"
  leader_election = true
`

const pods = `
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata:
    namespace: shop
    name: web-0
    uid: uid-web-0
    labels: {spiffe: shop/web}
    annotations: {spiffe.io/federatesWith: "a.org,b.org"}
  spec: {nodeName: n1, serviceAccountName: web}
  status: {phase: Running, podIP: 10.0.0.7}
- {kind: Pod, metadata: {namespace: shop, name: web-1, uid: uid-web-1, labels: {spiffe: shop/web}}, spec: {nodeName: n2}}
- {kind: Pod, metadata: {namespace: shop, name: thief, uid: uid-thief, labels: {spiffe: bank/vault}}, spec: {nodeName: n1}}
- {kind: Pod, metadata: {namespace: shop, name: plain, uid: uid-plain}, spec: {nodeName: n1}}
- {kind: Pod, metadata: {namespace: shop, name: waits, uid: uid-waits, labels: {spiffe: shop/w}}}
- {kind: Pod, metadata: {namespace: kube-system, name: dns, uid: uid-dns, labels: {spiffe: shop/w}}, spec: {nodeName: n1}}
- {kind: Service, metadata: {namespace: shop, name: web}}
`

const nodes = `
{kind: Node, metadata: {name: n1, uid: uid-n1}}
---
{kind: Node, metadata: {name: n2, uid: uid-n2}}
`

const slices = JSON.stringify({
  kind: 'EndpointSliceList',
  items: [
    {
      metadata: { namespace: 'shop', name: 'empty', labels: { 'kubernetes.io/service-name': 'empty' } },
      endpoints: null,
    },
    {
      metadata: { namespace: 'shop', name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
      addressType: 'IPv4',
      endpoints: [
        { addresses: ['10.0.0.7'], targetRef: { kind: 'Pod', namespace: 'shop', name: 'web-0', uid: 'uid-web-0' } },
      ],
    },
  ],
})

function entry(id: string, path: string, parent: string, selectors: readonly string[], more: object = {}): object {
  const whole = (of: string): object => ({ trust_domain: 'example.org', path: of })
  const pairs = selectors.map((text) => ({ type: text.split(':')[0], value: text.slice(text.indexOf(':') + 1) }))
  return { id, spiffe_id: whole(path), parent_id: whole(parent), selectors: pairs, revision_number: '0', ...more }
}

const root = '/spire-k8s-registrar/demo/node'
const alias = entry('alias-1', `${root}/n1`, '/spire/server', ['k8s_psat:agent_node_name:n1', 'k8s_psat:cluster:demo'])
const entries = [
  alias,
  entry('old-1', '/shop/old', `${root}/n1`, ['k8s:ns:shop', 'k8s:pod-name:web-0'], { dns_names: ['web-0'] }),
  entry('old-2', '/shop/gone', `${root}/n1`, ['k8s:ns:shop', 'k8s:pod-name:gone']),
  entry('by-hand', '/registrar', '/somewhere', ['k8s:ns:spire'], { admin: true }),
  entry('demo.1f2e', '/ns/shop/sa/web', '/spire/agent/k8s_psat/demo/uid-n2', ['k8s:pod-uid:uid-web-1']),
]

const files: Readonly<Record<string, string>> = {
  'reconcile.conf': `mode = "reconcile" ${common}
    pod_label = "spiffe"
    add_pod_dns_names = true
    disabled_namespaces = ["kube-system"]
    allowed_ids { shop = ["/{namespace}/**"] }`,
  'careful.conf': `mode = "reconcile" ${common}
    delete_fuse { max_count = 0  max_fraction = 0.0 }`,
  'crd.conf': `mode = "crd" ${common} add_svc_dns_name = true`,
  'broken.conf': `mode = "reconcil" ${common}`,
  'pods.yaml': pods,
  'nodes.yaml': nodes,
  'manifests/pods.yaml': pods,
  'manifests/nodes.yml': nodes,
  'manifests/slices.json': slices,
  'manifests/README': 'not a manifest',
  'alias.json': JSON.stringify({ entries: [alias] }),
  'entries.json': JSON.stringify({ entries }),
  'odd.yaml': 'kind: Pod\n',
}

const all = ['--config', 'reconcile.conf', '--from', 'manifests', '--entries', 'entries.json', '--bundle', 'a.org']

describe('registrar plan', () => {
  test('shows every create, update and delete with its fields, and ends with 2', async () => {
    const { code, out, err } = await registrar(['plan', ...all])
    expect({ code, err }).toEqual({ code: 2, err: '' })
    expect(out).toMatchInlineSnapshot(`
      "reconcile mode, cluster demo in example.org
        objects  6 pods and 2 nodes, of manifests
        entries  3 of this registrar and 2 of others, which are never touched, of entries.json

      + create  Node n2
          spiffeId       spiffe://example.org/spire-k8s-registrar/demo/node/n2
          parentId       spiffe://example.org/spire/server
          selectors      k8s_psat:agent_node_name:n2 k8s_psat:cluster:demo

      + create  Pod shop/web-1
          spiffeId       spiffe://example.org/shop/web
          parentId       spiffe://example.org/spire-k8s-registrar/demo/node/n2
          selectors      k8s:ns:shop k8s:pod-name:web-1

      ~ update  Pod shop/web-0  (entry old-1, of the registrar before this one)
          spiffeId       spiffe://example.org/shop/old
                         → spiffe://example.org/shop/web
          dnsNames       +10-0-0-7.shop.pod.cluster.local +10-0-0-7.shop.pod +10-0-0-7.web
                         +10-0-0-7.web.shop +10-0-0-7.web.shop.svc +10-0-0-7.web.shop.svc.cluster.local
                         +web +web-0.web +web-0.web.shop +web-0.web.shop.svc
                         +web-0.web.shop.svc.cluster.local +web.shop +web.shop.svc
                         +web.shop.svc.cluster.local -web-0
          federatesWith  +a.org

      - delete  Pod shop/gone  (entry old-2, of the registrar before this one)
          spiffeId       spiffe://example.org/shop/gone
          because        there is no such pod

      ✗ Pod shop/thief: label spiffe is "bank/vault": the ID /bank/vault is not one that allowed_ids
        allows in the namespace shop
      ! Pod shop/web-0: annotation spiffe.io/federatesWith: the SPIRE server has no bundle of "b.org"
      · no entry, because it has no label spiffe: Pod shop/plain
      · no entry, because it has no node yet: Pod shop/waits
      · no entry, because its namespace kube-system is disabled: Pod kube-system/dns

      Would write 4 entries: 2 to create, 1 to update, 1 to delete; 1 as they should be, 2 of others left
      alone.
      "
    `)
  })

  test('with --adopt shows what would become of the entries of another registrar', async () => {
    const { code, out } = await registrar(['plan', ...all, '--adopt'])
    expect(code).toBe(2)
    expect(out).toContain(`~ update  Pod shop/web-1  (entry demo.1f2e, of another registrar)
    spiffeId       spiffe://example.org/ns/shop/sa/web
                   → spiffe://example.org/shop/web
    parentId       spiffe://example.org/spire/agent/k8s_psat/demo/uid-n2
                   → spiffe://example.org/spire-k8s-registrar/demo/node/n2
    selectors      +k8s:ns:shop +k8s:pod-name:web-1 -k8s:pod-uid:uid-web-1
`)
    expect(out).toContain('makes its own beside')
    expect(out).toContain('1 of others left')
  })

  test('tells scripts the same, in crd mode with the SpiffeIDs that come first', async () => {
    const { code, out } = await registrar(['plan', '--config', 'crd.conf', '--from', 'manifests', '-o', 'json'])
    expect(code).toBe(2)
    const report = JSON.parse(out) as Record<string, unknown>
    expect(report).toMatchObject({
      mode: 'crd',
      pods: 6,
      nodes: 2,
      hasChanges: true,
      foreign: 0,
      owned: 0,
      unchanged: 0,
    })
    expect(report['spiffeIds']).toContainEqual({ change: 'create', name: 'shop/web-0', object: 'Pod shop/web-0' })
    expect(report['creates']).toContainEqual({
      object: 'SpiffeID shop/web-0',
      id: expect.stringMatching(/^podpass\.demo\.[0-9a-f]{32}$/) as string,
      spiffeId: 'spiffe://example.org/ns/shop/sa/web',
      parentId: 'spiffe://example.org/k8s-workload-registrar/demo/node/n1',
      selectors: ['k8s:pod-uid:uid-web-0', 'k8s:ns:shop', 'k8s:node-name:n1'],
      dnsNames: ['web-0', 'web.shop.svc'],
      federatesWith: ['a.org', 'b.org'],
      downstream: false,
    })
  })

  test('ends with 0 where everything is as it should be', async () => {
    const args = ['plan', '--config', 'reconcile.conf', '--from', '-', '--entries', 'alias.json']
    const { code, out } = await registrar(args, nodes.split('---')[0])
    expect(out).toContain('Nothing to do; 1 as they should be, 0 of others left alone.')
    expect(code).toBe(0)
  })

  test('tells what the delete fuse would hold back', async () => {
    const { out } = await registrar([
      'plan',
      '--config',
      'careful.conf',
      '--from',
      'nodes.yaml',
      '--entries',
      'entries.json',
    ])
    expect(out).toContain(
      '✗ 2 of 4 entries would be deleted at once, which is more than delete_fuse allows: they stay. If',
    )
  })

  test('ends with 1, and never with 2, where it could not be found out', async () => {
    const wrong: readonly (readonly [readonly string[], string])[] = [
      [['plan', '--confg', 'x'], 'Did you mean --config?'],
      [['--config', 'reconcile.conf', 'plan'], '--config must stand behind plan'],
      [['plan', '--config', 'broken.conf', '--from', 'pods.yaml'], 'reconcil'],
      [['plan', '--config', 'reconcile.conf', '--from', 'absent.yaml'], 'no such file'],
      [['plan', '--config', 'reconcile.conf', '--from', 'odd.yaml'], 'line 1: has no metadata.name'],
      [['plan', '--config', 'reconcile.conf', '--from', 'pods.yaml', '--entries', 'pods.yaml'], '-output json'],
      [
        ['plan', '--config', 'reconcile.conf', '--from', 'pods.yaml', '--spire-socket', join(folder, 'none.sock')],
        'none.sock',
      ],
      [['plan', '--config', 'reconcile.conf', '--from', '-', '--entries', '-'], 'cannot both be standard input'],
    ]
    const ended = await Promise.all(wrong.map(([args]) => registrar(args)))
    for (const [place, [args, text]] of wrong.entries()) {
      expect([args, ended[place]]).toEqual([args, { code: 1, out: '', err: expect.stringContaining(text) as string }])
    }
  })
})

describe('registrar explain', () => {
  test('shows what a pod’s identity rests on, and what is to be changed', async () => {
    const { code, out, err } = await registrar(['explain', 'shop/web-0', ...all])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatchInlineSnapshot(`
      "Pod shop/web-0 in reconcile mode
        pod        ✓ its namespace shop is not disabled
                   ✓ it has not completed
                   ✓ its containers have not ended
                   ✓ it is on the node n1
        identity   ✓ label spiffe is "shop/web": the ID /shop/web, which allowed_ids allows in the
                     namespace shop
        entry      ✗ its entry old-1 is not as it should be, and is to be changed
                   ! annotation spiffe.io/federatesWith: the SPIRE server has no bundle of "b.org"
        node       ✓ its parent spiffe://example.org/spire-k8s-registrar/demo/node/n1 is entry alias-1
                   ? whether an agent with k8s_psat:agent_node_name:n1 and k8s_psat:cluster:demo is
                     attested was not looked at

      the entry that it should have
        spiffeId       spiffe://example.org/shop/web
        parentId       spiffe://example.org/spire-k8s-registrar/demo/node/n1
        selectors      k8s:ns:shop k8s:pod-name:web-0
        dnsNames       10-0-0-7.shop.pod.cluster.local 10-0-0-7.shop.pod 10-0-0-7.web 10-0-0-7.web.shop
                       10-0-0-7.web.shop.svc 10-0-0-7.web.shop.svc.cluster.local web web-0.web
                       web-0.web.shop web-0.web.shop.svc web-0.web.shop.svc.cluster.local web.shop
                       web.shop.svc web.shop.svc.cluster.local
        federatesWith  a.org

      what is to be changed
        ~ spiffeId: spiffe://example.org/shop/old → spiffe://example.org/shop/web
        ~ dnsNames: +10-0-0-7.shop.pod.cluster.local +10-0-0-7.shop.pod +10-0-0-7.web +10-0-0-7.web.shop
          +10-0-0-7.web.shop.svc +10-0-0-7.web.shop.svc.cluster.local +web +web-0.web +web-0.web.shop
          +web-0.web.shop.svc +web-0.web.shop.svc.cluster.local +web.shop +web.shop.svc
          +web.shop.svc.cluster.local -web-0
        ~ federatesWith: +a.org

      outdated: Its entry is to be changed; then it has spiffe://example.org/shop/web.
        → spire-server bundle set -id spiffe://TRUST_DOMAIN -path BUNDLE gives the server one.
      "
    `)
  })

  test.each([
    ['shop/thief', 'refused', 'is not one that allowed_ids allows in the namespace shop'],
    ['shop/plain', 'none', 'it has no label spiffe'],
    ['shop/waits', 'none', 'it has no node yet'],
    ['kube-system/dns', 'none', 'its namespace kube-system is disabled'],
  ])('%s: %s, %s', async (pod, verdict, why) => {
    const { code, out } = await registrar(['explain', pod, ...all, '-o', 'json'])
    expect(code).toBe(0)
    const explanation = JSON.parse(out) as { findings: { is: string; text: string; advice?: string }[] }
    expect(explanation).toMatchObject({ pod, verdict, message: expect.stringContaining(why) as string, entries: [] })
    const bad = explanation.findings.filter(({ is }) => is === 'bad')
    expect(bad).toMatchObject([{ text: expect.stringContaining(why) as string, advice: expect.any(String) as string }])
  })

  test('names the entries of others that a pod has besides', async () => {
    const { out } = await registrar(['explain', 'web-1', '-n', 'shop', ...all])
    expect(out).toContain("! entry demo.1f2e of somebody else's gives it spiffe://example.org/ns/shop/sa/web, too")
    expect(out).toContain('pending: It is to get spiffe://example.org/shop/web')
  })

  test('guesses which pod was meant, and ends with 1', async () => {
    const { code, out } = await registrar(['explain', 'shop/web0', ...all])
    expect(code).toBe(1)
    expect(out).toContain('Did you mean web-0?')
    const elsewhere = await registrar(['explain', 'web-0', ...all])
    expect(elsewhere.out).toContain('There is one in the namespace shop')
  })

  test('ends with 2 where the arguments or files cannot be used', async () => {
    expect(await registrar(['explain', 'a/b/c', ...all])).toMatchObject({ code: 2 })
    expect(await registrar(['explain', 'shop/web-0', '-n', 'bank', ...all])).toMatchObject({ code: 2 })
    expect(await registrar(['explain', 'x', '--config', 'reconcile.conf', '--from', 'odd.yaml'])).toMatchObject({
      code: 2,
    })
    expect(await registrar(['explain'])).toMatchObject({ code: 2 })
  })
})
