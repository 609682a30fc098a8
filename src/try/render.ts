import type { Ground } from './ground.ts'
import type { SideOutcome } from './handshake.ts'
import { entry, indented, line, note } from './layout.ts'
import { type Look, formatCount, formatSpan, formatTime, paint, plural } from './look.ts'
import { type Meeting, type Renewal, type Step, isGood, stranger } from './step.ts'

type Of<Kind extends Step['is']> = Extract<Step, { is: Kind }>

const places: Readonly<Record<Ground, string>> = {
  'mount-namespace': 'root, own mount namespace: real tmpfs and read-only bind mounts',
  'user-namespace': 'user namespace, no root: real tmpfs and read-only bind mounts',
  'private-folder': 'private folder: no mounts, which take root or a user namespace',
}

/** What is about to happen, and where. */
export function renderStarted(
  { ground, driver, socket, issuers, signer, lifetime, volumes }: Of<'started'>,
  look: Look,
): string[] {
  const pods = new Set(volumes.map(({ pod }) => pod.uid)).size
  const names = issuers.map(({ kind, name }) => `${kind} ${name}`).join(', ')
  return [
    paint(look, 'bold', `Podpass plays a node for ${plural(pods, 'pod')} with ${plural(volumes.length, 'volume')}`),
    '',
    ...entry(look, 'place', places[ground]),
    ...entry(look, 'driver', driver),
    ...entry(look, 'socket', socket),
    ...entry(look, 'issuer', `${names}: ${signer}, certificates live ${formatSpan(lifetime)} at most`),
  ]
}

/** Which group the pods asked for in vain. */
export function renderGroupLeft({ group, volumes }: Of<'group left'>, look: Look): string[] {
  const whose = plural(volumes.length, 'volume')
  return entry(look, 'fs-group', `${group} of ${whose} is left away: giving files to a group of that number takes root`)
}

/** Whether each volume has a key of its own; nothing where there is only one. */
export function renderKeys({ volumes, different }: Of<'keys'>, look: Look): string[] {
  if (volumes < 2) return []
  const good = volumes === different
  return line(look, good, good ? `${plural(volumes, 'volume')}, ${different} different keys` : `only ${different} keys`)
}

/** How two ends met, or did not. */
export function renderMeeting({ client, server, kind, outcome, asExpected }: Meeting, look: Look): string[] {
  const title = `${introduce(client)} → ${introduce(server)}`
  if (kind !== 'stranger calls' && kind !== 'stranger answers' && asExpected) {
    const which = kind === 'renewed peers' ? ', with the new certificates' : ''
    return [
      ...line(look, true, `${title}${which}`),
      ...indented(look, `each has verified the other: ${sideText(outcome.client)}`),
    ]
  }
  const verdict = asExpected ? 'no connection' : 'not as it must be'
  return [
    ...line(look, asExpected, `${title}: ${verdict}`),
    ...indented(look, `${client} ${sideText(outcome.client)}`),
    ...indented(look, `${server} ${sideText(outcome.server)}`),
  ]
}

/** Why nobody could meet. */
export function renderNotMet({ reason }: Of<'not met'>, look: Look): string[] {
  return note(look, `not shown: ${reason}`)
}

/** The line that changes while somebody waits. */
export function renderWaiting({ until, now, readings }: Of<'waiting'>, look: Look): string {
  const left = Math.max(0, Math.ceil((until - now) / 1000))
  const soFar =
    readings.reads === 0 ? '' : ` · ${formatCount(readings.reads)} reads, ${formatCount(readings.mixed)} mixed`
  return `waiting for the driver: due at ${formatTime(look, until)}, in ${left} s${soFar}`
}

/** What the pod got. */
export function renderRenewed({ planned, before, after, seenAt }: Renewal, look: Look): string[] {
  const { pod, volume } = planned
  const which = pod.volumes.length > 1 ? ` ${volume.name}` : ''
  const key = Buffer.from(before.publicKey).equals(after.publicKey) ? 'the same key' : 'a new key'
  const text = `renewed at ${formatTime(look, seenAt)}, ${key}, valid to ${formatTime(look, after.notAfter)}`
  return line(look, true, `${pod.namespace}/${pod.name}${which}: ${text}`)
}

/** Why nothing was renewed. */
export function renderNotRenewed({ reason, asExpected }: Of<'not renewed'>, look: Look): string[] {
  return asExpected ? note(look, reason) : line(look, false, reason)
}

/** What the reader has met in all. */
export function renderRead({ readings }: Of<'read'>, look: Look): string[] {
  const { reads, mixed } = readings
  const text =
    mixed === 0
      ? `${plural(reads, 'read')} meanwhile, key and certificate always belonged together`
      : `${formatCount(mixed)} of ${formatCount(reads)} reads met a key and a certificate that do not belong together`
  return line(look, mixed === 0, text)
}

/** How to look at what is left running, and how to end it. */
export function renderKept({ ground, pid, socket, kubeletRoot }: Of<'kept'>, look: Look): string[] {
  const enter = {
    'mount-namespace': [`nsenter -t ${pid} -m sh`],
    'user-namespace': [`nsenter -t ${pid} -U -m --preserve-credentials sh`],
    'private-folder': [],
  }[ground]
  return [
    ...entry(look, 'socket', socket),
    ...entry(look, 'enter', ...enter),
    ...entry(look, 'see', `ls -lL ${kubeletRoot}/pods/*/volumes/*/*/mount/`),
    ...entry(look, 'end', 'Ctrl-C'),
  ]
}

/** Whether anything is left. */
export function renderLeft(step: Of<'left'>, volumes: number, look: Look): string[] {
  const { leftovers } = step
  if (isGood(step)) {
    const gone = volumes === 1 ? 'the volume is' : `${volumes} volumes are`
    return line(look, true, `${gone} gone: no mount, no file and no socket is left`)
  }
  return Object.entries(leftovers).flatMap(([what, found]: [string, readonly string[]]) =>
    found.flatMap((path) => line(look, false, `${what} left: ${path}`)),
  )
}

function sideText(side: SideOutcome): string {
  switch (side.ended) {
    case 'agreed':
      return `${side.protocol}, ${side.cipher}`
    case 'refused':
      return `refused the certificate: ${side.reason}`
    case 'cut off':
      return 'was cut off'
    case 'failed':
      return `failed: ${side.reason}`
  }
}

function introduce(who: string): string {
  return who === stranger ? `${stranger} (same names, another CA)` : who
}
