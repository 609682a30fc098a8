import { Command, Option } from 'commander'
import { askRenewal, askVolumes } from '../driver/control.ts'
import type { VolumeReport } from '../driver/volume-report.ts'
import { dataRootOption } from './driver-flags.ts'
import { UsageError } from './usage-error.ts'
import { podOf, renderVolumes, volumesAsJson } from './volume-table.ts'

interface InspectFlags {
  readonly dataRoot: string
  readonly output: 'table' | 'json'
  readonly json?: true
}

const inspectExamples = `
Examples:
  # In the container of a running driver, which knows its data root
  kubectl -n podpass exec ds/podpass-driver -- podpass driver inspect

  # On the node, as root
  podpass driver inspect --data-root /var/lib/kubelet/plugins/podpass/data

  # Volumes whose last attempt failed
  podpass driver inspect --output json | jq '.[] | select(.lastError != null)'`

const renewExamples = `
Examples:
  podpass driver renew csi-3fa8b1c2
  podpass driver renew csi-3fa8b1c2 --data-root /var/lib/kubelet/plugins/podpass/data`

/** `podpass driver inspect`: what a running driver looks after. */
export function inspectCommand(): Command {
  return new Command('inspect')
    .description(
      "List this node's volumes: pod, state, when the certificate expires and is renewed, issuer, last error.",
    )
    .addOption(dataRootOption())
    .addOption(
      new Option('-o, --output <format>', 'for people or for machines').choices(['table', 'json']).default('table'),
    )
    .addOption(new Option('--json', 'the same as --output json').hideHelp())
    .addHelpText('after', inspectExamples)
    .action(async (_flags: object, self: Command) => {
      const { dataRoot, output, json } = self.optsWithGlobals<InspectFlags>()
      const volumes = await askVolumes(absolute(dataRoot))
      const asJson = output === 'json' || json === true
      process.stdout.write(asJson ? volumesAsJson(volumes) : renderVolumes(volumes, Date.now()))
    })
}

/** `podpass driver renew`: a new certificate before its time. */
export function renewCommand(): Command {
  return new Command('renew')
    .description('Renew the certificate of a volume now. The old one stays until the new one is in place.')
    .argument('<volume>', 'a volume id, or the start of one that fits no other, as inspect shows it')
    .addOption(dataRootOption())
    .addHelpText('after', renewExamples)
    .action(async (start: string, _flags: object, self: Command) => {
      const dataRoot = absolute(self.optsWithGlobals<{ readonly dataRoot: string }>().dataRoot)
      const volume = onlyVolume(await askVolumes(dataRoot), start)
      await askRenewal(dataRoot, volume.volumeId)
      process.stdout.write(`renewing ${podOf(volume)} ${volume.volumeId}; podpass driver inspect shows how it ends\n`)
    })
}

function onlyVolume(volumes: readonly VolumeReport[], start: string): VolumeReport {
  const exact = volumes.find(({ volumeId }) => volumeId === start)
  const fitting = exact === undefined ? volumes.filter(({ volumeId }) => volumeId.startsWith(start)) : [exact]
  const [volume, another] = fitting
  const quoted = JSON.stringify(start)
  if (volume === undefined) {
    throw new UsageError(
      `no volume of this node has an id that starts with ${quoted}; podpass driver inspect lists them`,
    )
  }
  if (another !== undefined) {
    const list = fitting.map((one) => `\n  ${one.volumeId} ${podOf(one)}`).join('')
    throw new UsageError(`${fitting.length} volumes have an id that starts with ${quoted}:${list}`)
  }
  return volume
}

function absolute(dataRoot: string): string {
  return dataRoot.startsWith('/') ? dataRoot : `/${dataRoot}`
}
