import type { SubjectNames } from '../x509/general-names.ts'
import type { KeySpec } from '../x509/key.ts'
import { check, entry, line } from './layout.ts'
import { type Look, formatSpan, formatTime, paint } from './look.ts'
import { type PublishedVolume, isGood } from './step.ts'

/** Everything that the pod finds. */
export function renderPublished(volume: PublishedVolume, look: Look): string[] {
  const { planned, view, took, renewAt, events } = volume
  const { leaf } = view
  const renewal =
    renewAt === undefined ? 'never renewed (disable-auto-renew)' : `renewed at ${formatTime(look, renewAt)}`
  const mounts = planned.volume.mounts.map(({ container, path }) => `${path} in container ${container}`)
  return [
    `${paint(look, 'bold', titleOf(volume))}${paint(look, 'dim', `  published in ${formatSpan(took)}`)}`,
    '',
    ...entry(look, 'seen at', mounts.join(', ')),
    ...entry(look, 'mount', mountLine(volume)),
    ...entry(look, 'files', ...fileLines(volume)),
    ...entry(look, 'subject', leaf.subject === '' ? 'empty' : leaf.subject),
    ...entry(look, 'names', ...nameLines(leaf.names)),
    ...entry(look, 'issuer', leaf.issuer),
    ...entry(look, 'serial', leaf.serial),
    ...entry(look, 'valid', `${formatTime(look, leaf.notBefore)} to ${formatTime(look, leaf.notAfter)}; ${renewal}`),
    ...check(look, view.keyMatches, 'key', keyLine(volume)),
    ...check(look, view.chain.ok, 'chain', chainLine(volume)),
    ...events.flatMap((event) => entry(look, 'event', event)),
  ]
}

/** One line for one more of many. */
export function renderPublishedBriefly(volume: PublishedVolume, look: Look): string[] {
  const good = isGood({ is: 'published', volume })
  const trouble = volume.view.chain.ok ? keyLine(volume) : chainLine(volume)
  return line(look, good, good ? titleOf(volume) : `${titleOf(volume)}: ${trouble}`)
}

function titleOf({ planned: { pod, volume } }: PublishedVolume): string {
  return `Pod ${pod.namespace}/${pod.name}, volume ${volume.name}`
}

/** The options that keep a key safe; the others are of no interest here. */
const tellingOptions = ['ro', 'nosuid', 'nodev', 'noexec', 'noswap']

function mountLine({ view: { mount } }: PublishedVolume): string {
  if (mount === undefined) return 'none, a link to a private folder'
  return [mount.type, ...tellingOptions.filter((option) => mount.options.includes(option))].join(', ')
}

function fileLines({ view: { files } }: PublishedVolume): string[] {
  const owners = files.map(({ uid, gid }) => `${uid}:${gid}`)
  const widest = (texts: readonly string[]): number => Math.max(...texts.map((text) => text.length))
  return files.map(({ mode, size, path, link }, index) => {
    const owner = (owners[index] ?? '').padEnd(widest(owners))
    const bytes = String(size).padStart(widest(files.map((file) => String(file.size))))
    return `${mode}  ${owner}  ${bytes}  ${path}${link === undefined ? '' : ` → ${link}`}`
  })
}

function nameLines(names: SubjectNames): string[] {
  const lines = [
    ...names.dns.map((name) => `DNS:${name}`),
    ...names.ip.map((name) => `IP:${name}`),
    ...names.uri.map((name) => `URI:${name}`),
    ...names.email.map((name) => `email:${name}`),
  ]
  return lines.length === 0 ? ['none'] : lines
}

function keyLine({ view: { key, keyMatches } }: PublishedVolume): string {
  return `${keyName(key)}, ${keyMatches ? 'made for this volume, fits the certificate' : 'does not fit the certificate'}`
}

function keyName(key: KeySpec | undefined): string {
  if (key === undefined) return 'of an unknown kind'
  return key.algorithm === 'Ed25519' ? key.algorithm : `${key.algorithm} ${key.size}`
}

function chainLine({ planned, view: { chain } }: PublishedVolume): string {
  if (!chain.ok) return chain.reason
  const [, ...above] = chain.path.map(({ subject }) => subject)
  const root = above.pop() ?? 'itself'
  return `verified: ${[...above, `${root} in ${planned.spec.files.ca}`].join(', then ')}`
}
