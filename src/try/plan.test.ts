import { expect, test } from 'vitest'
import { standardDefaults } from '../volume/spec.ts'
import { type Plan, planPods } from './plan.ts'
import { ManifestError, type Problem } from '../manifest/problem.ts'

/** A pod's spec with one volume; what differs is put in. */
const podSpec = (csi = '', rest = '') => `
  containers:
    - name: main
      volumeMounts: [{ name: tls, mountPath: /tls }]
  volumes:
    - name: tls
      csi:
        driver: csi.cert-manager.io
        volumeAttributes:
          csi.cert-manager.io/issuer-name: ca-issuer
          csi.cert-manager.io/dns-names: \${POD_NAME}.\${POD_NAMESPACE}.svc
${csi}
${rest}`

const pod = (name: string, csi = '', rest = '') => `
apiVersion: v1
kind: Pod
metadata:
  name: ${name}
spec:${podSpec(csi, rest)}`

/** A workload whose template has that spec. */
const workload = (apiVersion: string, kind: string, spec: string) => `
apiVersion: ${apiVersion}
kind: ${kind}
metadata: { name: web, namespace: sandbox }
spec:
  ${spec.replaceAll('\n', '\n  ')}
  template:
    spec:${podSpec().replaceAll('\n', '\n    ')}`

function plan(...texts: string[]): Plan {
  let uid = 0
  let seed = 1
  return planPods(
    { sources: texts.map((text, index) => ({ name: `${index}.yaml`, text })), problems: [] },
    {
      driver: 'csi.cert-manager.io',
      defaults: standardDefaults,
      chance: {
        random: () => (seed = (seed * 16807) % 2147483647) / 2147483647,
        uid: () => `uid-${++uid}`,
        now: 1_800_000_000_000,
      },
    },
  )
}

function problemsOf(...texts: string[]): readonly Problem[] {
  try {
    plan(...texts)
  } catch (error) {
    if (error instanceof ManifestError) return error.problems
    throw error
  }
  throw new Error('the manifest was accepted')
}

const names = ({ volumes }: Plan) => volumes.map(({ pod }) => `${pod.namespace}/${pod.name}`)

test('a pod is planned with what the driver will read', () => {
  const [planned] = plan(pod('my-csi-app')).volumes
  expect(planned?.pod).toMatchObject({
    namespace: 'default',
    name: 'my-csi-app',
    uid: 'uid-1',
    serviceAccount: 'default',
  })
  expect(planned?.spec.names.dns).toEqual(['my-csi-app.default.svc'])
})

test('service account and group come from the pod', () => {
  const [planned] = plan(pod('a', '', '  serviceAccountName: robot\n  securityContext: { fsGroup: 2000 }')).volumes
  expect(planned?.pod).toMatchObject({ serviceAccount: 'robot', fsGroup: 2000 })
})

test('labels and annotations come from the template, and from the controller', () => {
  const names = "${POD_LABELS['apps.kubernetes.io/pod-index']}.${POD_LABELS['app']}.svc"
  const manifest = `
kind: StatefulSet
apiVersion: apps/v1
metadata: { name: web, labels: { app: not-this } }
spec:
  replicas: 2
  template:
    metadata: { labels: { app: shop }, annotations: { owner: Ops } }
    spec:
      containers: [{ name: main, volumeMounts: [{ name: tls, mountPath: /tls }] }]
      volumes:
        - name: tls
          csi:
            driver: csi.cert-manager.io
            volumeAttributes:
              csi.cert-manager.io/issuer-name: ca-issuer
              csi.cert-manager.io/common-name: "\${POD_ANNOTATIONS['owner']}"
              csi.cert-manager.io/dns-names: "${names}"
`
  const specs = plan(manifest).volumes.map(({ spec }) => [spec.commonName, spec.names.dns])
  expect(specs).toEqual([
    ['Ops', ['0.shop.svc']],
    ['Ops', ['1.shop.svc']],
  ])
  const messages = problemsOf(manifest.replace('app: shop', 'app: 5')).map(({ message }) => message)
  expect(messages[0]).toBe('spec.template.metadata.labels.app must be a text, and is a number')
})

test('a pod that has only generateName gets a name', () => {
  const [planned] = plan(pod('x').replace('name: x', 'generateName: web-')).volumes
  expect(planned?.pod.name).toMatch(/^web-[a-z0-9]{5}$/)
})

test('a UID in the manifest is not taken over', () => {
  const [planned] = plan(pod('a').replace('name: a', 'name: a\n  uid: ../../etc')).volumes
  expect(planned?.pod.uid).toBe('uid-1')
})

test('each controller names its pods in its own way', () => {
  const five = '[a-z0-9]{5}'
  const expected: [string, string[]][] = [
    [workload('apps/v1', 'Deployment', 'replicas: 2'), [`web-[a-z0-9]{1,10}-${five}`, `web-[a-z0-9]{1,10}-${five}`]],
    [workload('apps/v1', 'ReplicaSet', 'replicas: 1'), [`web-${five}`]],
    [workload('apps/v1', 'DaemonSet', ''), [`web-${five}`]],
    [workload('apps/v1', 'StatefulSet', 'replicas: 2'), ['web-0', 'web-1']],
    [workload('apps/v1', 'StatefulSet', 'replicas: 2\nordinals: { start: 7 }'), ['web-7', 'web-8']],
    [workload('batch/v1', 'Job', ''), [`web-${five}`]],
    [
      workload('batch/v1', 'Job', 'parallelism: 3\ncompletions: 2\ncompletionMode: Indexed'),
      [`web-0-${five}`, `web-1-${five}`],
    ],
  ]
  for (const [manifest, patterns] of expected) {
    const found = names(plan(manifest))
    expect(found).toHaveLength(patterns.length)
    for (const [index, pattern] of patterns.entries()) expect(found[index]).toMatch(new RegExp(`^sandbox/${pattern}$`))
  }
})

test('a CronJob makes a job named by the minute', () => {
  const cron = `
apiVersion: batch/v1
kind: CronJob
metadata: { name: nightly }
spec:
  jobTemplate:
    spec:
      template:
        spec:${podSpec().replaceAll('\n', '\n        ')}`
  expect(names(plan(cron))[0]).toMatch(/^default\/nightly-30000000-[a-z0-9]{5}$/)
})

test('lists are opened, and what is in a typed list needs no kind', () => {
  const item = pod('b').replace('apiVersion: v1\nkind: Pod\n', '').trim().replaceAll('\n', '\n    ')
  const list = `apiVersion: v1\nkind: PodList\nitems:\n  - ${item}\n`
  const whole = pod('a').trim().replaceAll('\n', '\n    ')
  expect(
    names(plan(list, `apiVersion: v1\nkind: List\nitems:\n  - ${whole}\n  - kind: Service\n    apiVersion: v1\n`)),
  ).toEqual(['default/b', 'default/a'])
})

test('other kinds, other groups and volumes of other drivers are passed over', () => {
  const foreign = pod('x').replace('csi.cert-manager.io\n', 'secrets-store.csi.k8s.io\n')
  const rollout = workload('example.com/v1', 'Deployment', '')
  expect(names(plan('apiVersion: v1\nkind: Service\n', foreign, rollout, pod('a')))).toEqual(['default/a'])
})

test('many replicas are cut, none are none, and both are noted', () => {
  const { volumes, notes } = plan(
    workload('apps/v1', 'Deployment', 'replicas: 5000'),
    workload('apps/v1', 'ReplicaSet', 'replicas: 0'),
  )
  expect(volumes).toHaveLength(20)
  expect(notes.map(({ message }) => message)).toEqual([
    'asks for 5000 pods; the first 20 are played',
    'asks for no pods, so none is played',
  ])
})

test('a volume that no container mounts is left out, as by a kubelet, and noted', () => {
  const second = `
    - name: unused
      csi: { driver: csi.cert-manager.io }`
  const { volumes, notes } = plan(pod('a', '', second))
  expect(volumes.map(({ volume }) => volume.name)).toEqual(['tls'])
  expect(notes).toMatchObject([
    { volume: 'unused', message: expect.stringContaining('no container mounts it') as string },
  ])
})

test('a container that mounts with subPath is noted', () => {
  const { notes } = plan(pod('a').replace('mountPath: /tls', 'mountPath: /tls, subPath: tls.crt'))
  expect(notes[0]?.message).toMatch(/main mounts it with subPath and never sees a renewal/)
})

test('readOnly may be yes, and a mistyped attribute is noted with a guess', () => {
  const { volumes, notes } = plan(
    pod('a', '          csi.cert-manager.io/dns-name: x').replace('driver:', 'readOnly: yes\n        driver:'),
  )
  expect(volumes[0]?.volume.readOnly).toBe(true)
  expect(notes).toMatchObject([
    {
      location: { source: '0.yaml', line: 18 },
      object: 'Pod default/a',
      volume: 'tls',
      attribute: 'csi.cert-manager.io/dns-name',
      message: expect.stringContaining('did you mean csi.cert-manager.io/dns-names') as string,
    },
  ])
})

test('everything that is wrong is told at once, with object, line, volume and attribute', () => {
  const wrong = pod(
    'a',
    '          csi.cert-manager.io/is-ca: yes\n          csi.cert-manager.io/duration: 1 week',
  ).replace('ca-issuer', "''")
  expect(problemsOf('kind: [\n', wrong, pod('B'))).toMatchObject([
    { location: { source: '0.yaml', line: 2 }, message: expect.stringContaining('broken YAML') as string },
    { location: { source: '1.yaml', line: 15 }, volume: 'tls', attribute: 'csi.cert-manager.io/issuer-name' },
    {
      location: { line: 17 },
      object: 'Pod default/a',
      attribute: 'csi.cert-manager.io/is-ca',
      message: 'must be a text, and is a boolean: put it in quotes',
    },
    { location: { line: 18 }, attribute: 'csi.cert-manager.io/duration' },
    {
      location: { source: '2.yaml', line: 5 },
      object: 'Pod default/B',
      message: expect.stringMatching(/the name must/) as string,
    },
  ])
})

test('wrong attributes of replicas are told once', () => {
  const manifest = workload('apps/v1', 'Deployment', 'replicas: 3').replace('ca-issuer', "''")
  expect(problemsOf(manifest)).toHaveLength(1)
})

test.each([
  ['a document that is no object', '- a\n', 'is no Kubernetes object'],
  ['an object without a kind', 'metadata: {}\n', 'is no Kubernetes object: it has no kind'],
  [
    'a pod without a name',
    pod('').replace('  name: \n', '  labels: {}\n'),
    'metadata.name is required, or metadata.generateName',
  ],
  ['a pod without a spec', 'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n', 'spec must be an object'],
  [
    'a namespace that is no label',
    pod('a').replace('name: a', 'name: a\n  namespace: ../etc'),
    'the namespace must be',
  ],
  [
    'a volume with a path as its name',
    pod('a').replaceAll('name: tls', 'name: ../../etc'),
    'spec.volumes[0].name must be',
  ],
  [
    'a mount of a volume that is not there',
    pod('a').replace('name: tls,', 'name: tsl,'),
    'no volume has the name tsl, did you mean tls?',
  ],
  [
    'a volume without a driver',
    pod('a').replace('driver: csi.cert-manager.io', 'fsType: ext4'),
    'csi.driver is required',
  ],
  ['a mistyped field', pod('a').replace('volumeAttributes', 'volumeAttribute'), 'did you mean volumeAttributes?'],
  ['replicas in words', workload('apps/v1', 'Deployment', 'replicas: "3"'), 'spec.replicas must be a whole number'],
  [
    'readOnly in words',
    pod('a').replace('driver:', 'readOnly: maybe\n        driver:'),
    'readOnly must be true or false',
  ],
  [
    'volumes that are no list',
    pod('a').replace('volumes:\n    - name: tls\n      csi:', 'volumes:\n      csi:'),
    'spec.volumes must be a list',
  ],
  ['the same pod twice', `${pod('a')}\n---${pod('a')}`, 'appears twice'],
  [
    'a pod that a StatefulSet makes as well',
    `${pod('web-0').replace('name: web-0', 'name: web-0\n  namespace: sandbox')}\n---${workload('apps/v1', 'StatefulSet', '')}`,
    'makes Pod sandbox/web-0, which appears twice',
  ],
  ['two volumes of one name', pod('a', '', '    - name: tls\n      emptyDir: {}'), 'another volume has this name'],
])('%s is refused', (_what, manifest, message) => {
  expect(problemsOf(manifest).map((problem) => problem.message)).toEqual(
    expect.arrayContaining([expect.stringContaining(message) as string]),
  )
})

test('files without any such volume are refused by name, with what they hold', () => {
  expect(
    problemsOf('apiVersion: v1\nkind: Service\n', '# nothing\n').map(
      ({ location, message }) => `${location.source} ${message}`,
    ),
  ).toEqual([
    '0.yaml has no volume of driver csi.cert-manager.io that a pod mounts; it holds Service',
    '1.yaml has no volume of driver csi.cert-manager.io that a pod mounts; it is empty',
  ])
})

test('a driver of nearly the same name is pointed at', () => {
  const problems = problemsOf(pod('a').replace('driver: csi.cert-manager.io', 'driver: csi.certmanager.io'))
  expect(problems.map(({ message }) => message).join('\n')).toContain('did you mean csi.cert-manager.io?')
})

test('a password is never in a problem or a note, whatever is wrong with it', () => {
  for (const password of [
    'hunter2',
    'hunter2: x',
    '[hunter2',
    '{hunter2: hunter2}',
    '20026677',
    '"hunter2',
    '*hunter2',
    '&hunter2 x',
  ]) {
    for (const name of ['pkcs12-password', 'pkcs12-pasword', 'keystore-pkcs12-password']) {
      const manifest = pod('a', `          csi.cert-manager.io/${name}: ${password}`)
      let told: readonly unknown[]
      try {
        told = plan(manifest).notes
      } catch (error) {
        if (!(error instanceof ManifestError)) throw error
        told = error.problems
      }
      expect(JSON.stringify(told)).not.toMatch(/hunter2|20026677/)
    }
  }
})
