import { Writable } from 'node:stream'
import { expect, test } from 'vitest'
import type { Look } from './look.ts'
import { Narrator } from './narrator.ts'
import { sampleAuthority, samplePlanned, samplePublished } from './sample.ts'
import type { PublishedVolume, Step } from './step.ts'

const authority = sampleAuthority('ca-issuer')
const noon = Date.UTC(2026, 0, 1, 12)

function published(name: string, serial: string): PublishedVolume {
  const volume = samplePublished(samplePlanned(name), authority)
  const leaf = { ...volume.view.leaf, serial, notBefore: noon, notAfter: noon + 20_000 }
  return { ...volume, renewAt: noon + 13_400, view: { ...volume.view, leaf } }
}

const app = published('my-csi-app', '0a1b')
const peer = published('my-csi-peer', '2c3d')
const agreed = { ended: 'agreed', protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' } as const
const refused = { ended: 'refused', reason: 'signed by a CA that it does not trust' } as const
const names = { client: 'sandbox/my-csi-app', server: 'sandbox/my-csi-peer' }
const nothing = { volumes: [], mounts: [], files: [], sockets: [] }

const steps: readonly Step[] = [
  {
    is: 'started',
    ground: 'user-namespace',
    driver: 'csi.cert-manager.io',
    socket: '/tmp/podpass-try-x/csi.sock',
    issuers: [app.planned.spec.issuer],
    signer: 'an embedded CA',
    lifetime: 20_000,
    volumes: [app.planned, peer.planned],
  },
  { is: 'publishing', volumes: 2 },
  { is: 'published', volume: app },
  {
    is: 'published',
    volume: { ...peer, planned: { ...peer.planned, pod: { ...peer.planned.pod, owner: app.planned.pod.owner } } },
  },
  { is: 'keys', volumes: 2, different: 2 },
  { is: 'met', meeting: { kind: 'peers', ...names, outcome: { client: agreed, server: agreed }, asExpected: true } },
  {
    is: 'met',
    meeting: {
      kind: 'stranger calls',
      ...names,
      client: 'a stranger',
      outcome: { client: { ended: 'cut off' }, server: refused },
      asExpected: true,
    },
  },
  { is: 'waiting', until: noon + 13_400, now: noon, readings: { reads: 0, mixed: 0 } },
  { is: 'waiting', until: noon + 13_400, now: noon + 5000, readings: { reads: 1204, mixed: 0 } },
  {
    is: 'renewed',
    renewal: {
      planned: app.planned,
      before: app.view.leaf,
      after: { ...peer.view.leaf, notAfter: noon + 33_000 },
      dueAt: noon + 13_400,
      seenAt: noon + 13_450,
    },
  },
  { is: 'read', readings: { reads: 4312, mixed: 0 } },
  { is: 'left', leftovers: nothing },
]

function narrate(told: readonly Step[], look: Partial<Look> = {}, live = false): string {
  const written: string[] = []
  const output = new Writable({
    decodeStrings: false,
    write(text: string, _encoding, done) {
      written.push(text)
      done()
    },
  })
  const narrator = new Narrator(output, { width: 80, colour: false, timeZone: 'UTC', ...look }, live)
  for (const step of told) narrator.tell(step)
  narrator.finish(17_200, false)
  return written.join('')
}

test('a whole play is told in order', () => {
  expect(narrate(steps)).toMatchInlineSnapshot(`
    "Podpass plays a node for 2 pods with 2 volumes

        place     user namespace, no root: real tmpfs and read-only bind mounts
        driver    csi.cert-manager.io
        socket    /tmp/podpass-try-x/csi.sock
        issuer    Issuer ca-issuer: an embedded CA, certificates live 20 s at most

    Pod sandbox/my-csi-app, volume tls  published in 84 ms

        seen at   /tls in container main
        mount     tmpfs, ro, nosuid, nodev, noexec, noswap
        files     -r--r-----  0:2000    10  ca.crt
                  -r--r-----  0:2000   100  tls.crt
                  -r--r-----  0:2000  1000  tls.key
        subject   empty
        names     DNS:my-csi-app.sandbox.svc
        issuer    CN=ca-issuer
        serial    0a1b
        valid     12:00:00 to 12:00:20; renewed at 12:00:13
      ✓ key       ECDSA 256, made for this volume, fits the certificate
      ✓ chain     verified: CN=ca-issuer in ca.crt

      ✓ Pod sandbox/my-csi-peer, volume tls
      ✓ 2 volumes, 2 different keys

    Mutual TLS, with nothing but these files

      ✓ sandbox/my-csi-app → sandbox/my-csi-peer
          each has verified the other: TLSv1.3, TLS_AES_256_GCM_SHA384
      ✓ a stranger (same names, another CA) → sandbox/my-csi-peer: no connection
          a stranger was cut off
          sandbox/my-csi-peer refused the certificate: signed by a CA that it does
          not trust

    Renewal, while the files are read all the time

      … waiting for the driver: due at 12:00:13, in 14 s
      ✓ sandbox/my-csi-app: renewed at 12:00:13, a new key, valid to 12:00:33
      ✓ 4,312 reads meanwhile, key and certificate always belonged together

    After the pods are gone

      ✓ 2 volumes are gone: no mount, no file and no socket is left

    Done in 17 s: everything is as it should be.
    "
  `)
})

test('without a terminal there is neither colour nor a moving line', () => {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  expect(narrate(steps)).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/)
})

test('on a terminal the last line moves while somebody waits, and is cleared before the next word', () => {
  const text = narrate(steps, {}, true)
  expect(text).toContain('\r  … waiting for the driver: due at 12:00:13, in 9 s · 1,204 reads, 0 mixed\u001b[K')
  expect(text).toContain('\u001b[K\r\u001b[K  ✓ sandbox/my-csi-app: renewed')
})

test('no line is longer than the terminal is wide', () => {
  for (const width of [60, 80, 100]) {
    for (const line of narrate(steps, { width }).split('\n')) expect(line.length).toBeLessThanOrEqual(width)
  }
})

test('what is not as it must be is told, and changes the last word', () => {
  const bad: readonly Step[] = [
    {
      is: 'published',
      volume: { ...app, view: { ...app.view, keyMatches: false, chain: { ok: false, reason: 'it is not signed' } } },
    },
    { is: 'keys', volumes: 2, different: 1 },
    {
      is: 'met',
      meeting: { kind: 'stranger calls', ...names, outcome: { client: agreed, server: agreed }, asExpected: false },
    },
    { is: 'not renewed', reason: 'the certificate of sandbox/my-csi-app ended first', asExpected: false },
    { is: 'read', readings: { reads: 10, mixed: 1 } },
    { is: 'failed', message: 'sandbox/a volume tls: refused\nsandbox/b volume tls: refused' },
    { is: 'left', leftovers: { ...nothing, mounts: ['/tmp/x/mount'] } },
  ]
  for (const step of bad) {
    const text = narrate([...steps, step])
    expect(text).toMatch(/✗.*\n/)
    expect(text).toMatch(/Done in 17 s: not everything is as it should be, see ✗ above\.\n$/)
  }
})
