import type { VolumeReport } from '../driver/volume-report.ts'

/**
 * Volumes for people: a line each, those that have no certificate first and then the next to expire, and below a line what goes on or
 * wrong with it.
 *
 * @param now - epoch milliseconds
 */
export function renderVolumes(volumes: readonly VolumeReport[], now: number): string {
  if (volumes.length === 0) return 'no volumes on this node\n'
  const sorted = volumes.toSorted((one, other) => (one.issued?.notAfter ?? 0) - (other.issued?.notAfter ?? 0))
  const rows = sorted.map((volume) => rowOf(volume, now))
  const header = ['POD', 'VOLUME', 'STATE', 'EXPIRES', 'RENEWS', 'ISSUER']
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  const lines = sorted.flatMap((volume, index) => [line(rows[index] ?? [])].concat(notesOf(volume, now)))
  return `${[line(header), ...lines].join('\n')}\n`
}

/** Volumes for machines: as the driver reports them, with times in RFC 3339. */
export function volumesAsJson(volumes: readonly VolumeReport[]): string {
  const listed = volumes.map(({ issued, renewAt, lastErrorAt, ...rest }) => ({
    ...rest,
    issued: issued && { ...issued, notBefore: rfc3339(issued.notBefore), notAfter: rfc3339(issued.notAfter) },
    renewAt: renewAt === undefined ? undefined : rfc3339(renewAt),
    lastErrorAt: lastErrorAt === undefined ? undefined : rfc3339(lastErrorAt),
  }))
  return `${JSON.stringify(listed, undefined, 2)}\n`
}

/** A volume's pod, for people. */
export function podOf({ pod }: VolumeReport): string {
  return pod === undefined ? '-' : `${pod.namespace}/${pod.name}`
}

function rowOf(volume: VolumeReport, now: number): readonly string[] {
  const { issued, renewAt, issuer } = volume
  return [
    podOf(volume),
    volume.volumeId.slice(0, 16),
    stateOf(volume, now),
    issued === undefined ? '-' : timeOf(issued.notAfter, now),
    renewAt === undefined ? '-' : timeOf(renewAt, now),
    issuer === undefined ? '-' : `${issuer.kind}/${issuer.name}`,
  ]
}

function stateOf({ state, issued, former, detached }: VolumeReport, now: number): string {
  const marks = [
    issued !== undefined && issued.notAfter <= now ? 'expired' : undefined,
    former ? 'former driver' : undefined,
    detached ? 'detached' : undefined,
  ]
  return [state, ...marks.filter((mark) => mark !== undefined)].join(', ')
}

function notesOf({ progress, lastError, lastErrorAt }: VolumeReport, now: number): readonly string[] {
  const notes: string[] = []
  if (progress !== undefined && progress !== lastError) notes.push(`  now: ${oneLine(progress)}`)
  if (lastError !== undefined) {
    const when = lastErrorAt === undefined ? '' : ` (${span(now - lastErrorAt)} ago)`
    notes.push(`  last error${when}: ${oneLine(lastError)}`)
  }
  return notes
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ')
}

/** A time as people need it: how far away, and when. */
function timeOf(time: number, now: number): string {
  const distance = time <= now ? `${span(now - time)} ago` : `in ${span(time - now)}`
  return `${distance} (${rfc3339(time)})`
}

function rfc3339(time: number): string {
  return new Date(time).toISOString().replace(/\.\d{3}Z$/, 'Z')
}

/** A duration in its two largest units. */
export function span(milliseconds: number): string {
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
  ] as const
  const first = units.findIndex(([, size]) => milliseconds >= size)
  if (first < 0) return '0s'
  let rest = milliseconds
  return units
    .slice(first, first + 2)
    .map(([unit, size]) => {
      const count = Math.floor(rest / size)
      rest -= count * size
      return count === 0 ? '' : `${count}${unit}`
    })
    .join('')
}
