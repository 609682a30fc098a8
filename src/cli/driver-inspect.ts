import { Command, Option } from 'commander'
import { askRenewal, askVolumes } from '../driver/control.ts'
import type { VolumeReport } from '../driver/volume-report.ts'
import { dataRootOption } from './driver-flags.ts'

interface InspectFlags {
  readonly json?: true
}

/** `podpass driver inspect`: what a running driver looks after. */
export function inspectCommand(): Command {
  return new Command('inspect')
    .description("List this node's volumes: pod, certificate, next renewal, last error.")
    .addOption(dataRootOption().env('PODPASS_DATA_ROOT'))
    .addOption(new Option('--json', 'for machines'))
    .addHelpText(
      'after',
      '\nExamples:\n  podpass driver inspect --data-root /var/lib/kubelet/plugins/podpass/data\n' +
        '  kubectl -n podpass exec ds/podpass-driver -- podpass driver inspect\n',
    )
    .action(async (_flags: InspectFlags, self: Command) => {
      const flags = self.optsWithGlobals<InspectFlags & { readonly dataRoot: string }>()
      const volumes = await askVolumes(absolute(flags.dataRoot))
      process.stdout.write(
        flags.json ? `${JSON.stringify(volumes, undefined, 2)}\n` : renderVolumes(volumes, Date.now()),
      )
    })
}

/** `podpass driver renew`: a new certificate before its time. */
export function renewCommand(): Command {
  return new Command('renew')
    .description('Renew the certificate of a volume now. The old one stays until the new one is in place.')
    .argument('<volume>', 'a volume id, or the start of one that fits no other, as inspect shows it')
    .addOption(dataRootOption().env('PODPASS_DATA_ROOT'))
    .action(async (start: string, _flags: object, self: Command) => {
      const dataRoot = absolute(self.optsWithGlobals<{ readonly dataRoot: string }>().dataRoot)
      const fitting = (await askVolumes(dataRoot)).filter(({ volumeId }) => volumeId.startsWith(start))
      const [volume] = fitting
      if (volume === undefined)
        throw new Error(`no volume of this node has an id that starts with ${JSON.stringify(start)}`)
      if (fitting.length > 1)
        throw new Error(`${fitting.length} volumes have an id that starts with ${JSON.stringify(start)}`)
      await askRenewal(dataRoot, volume.volumeId)
      process.stdout.write(`renewing ${volume.pod.namespace}/${volume.pod.name} ${volume.volumeId}\n`)
    })
}

function absolute(dataRoot: string): string {
  return dataRoot.startsWith('/') ? dataRoot : `/${dataRoot}`
}

/** Volumes as a table, the next to expire first. */
export function renderVolumes(volumes: readonly VolumeReport[], now: number): string {
  if (volumes.length === 0) return 'no volumes on this node\n'
  const sorted = [...volumes].sort((one, other) => (one.issued?.notAfter ?? 0) - (other.issued?.notAfter ?? 0))
  const rows = sorted.map((volume) => [
    `${volume.pod.namespace}/${volume.pod.name}`,
    volume.volumeId.slice(0, 16),
    volume.state,
    volume.issued === undefined ? '-' : span(volume.issued.notAfter - now),
    volume.renewAt === undefined ? '-' : span(volume.renewAt - now),
    volume.issuer.name,
    volume.lastError ?? '',
  ])
  const header = ['POD', 'VOLUME', 'STATE', 'EXPIRES IN', 'RENEWS IN', 'ISSUER', 'LAST ERROR']
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  return `${[header, ...rows].map(line).join('\n')}\n`
}

/** A time from now in its two largest units. */
function span(milliseconds: number): string {
  if (milliseconds <= 0) return 'overdue'
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
      return `${count}${unit}`
    })
    .join('')
}
