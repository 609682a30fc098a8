import { Gauge, type Registry } from 'prom-client'
import type { Clock } from '../runtime/clock.ts'
import type { VolumeReport } from './volume-report.ts'

const states = ['requesting', 'issued', 'renewing', 'unmanaged'] as const satisfies readonly VolumeReport['state'][]

/** What is told of all volumes by one number; undefined where there is nothing to tell, which is no zero. */
interface VolumeFigure {
  readonly name: string
  readonly help: string
  readonly value: (volumes: readonly VolumeReport[], now: number) => number | undefined
}

const figures: readonly VolumeFigure[] = [
  {
    name: 'certmanager_csi_managed_volume_count',
    help: 'Volumes that this driver looks after.',
    value: (volumes) => volumes.filter(({ state }) => state !== 'unmanaged').length,
  },
  {
    name: 'podpass_adopted_volumes',
    help: "Volumes of the former csi-driver that are looked after in that driver's folder.",
    value: (volumes) => volumes.filter(({ former }) => former).length,
  },
  {
    name: 'podpass_failing_volumes',
    help: 'Volumes whose last attempt to get a certificate failed.',
    value: (volumes) => volumes.filter(({ lastErrorAt }) => lastErrorAt !== undefined).length,
  },
  {
    name: 'podpass_detached_volumes',
    help: 'Volumes with containers whose files can no longer be renewed: their pods should be restarted.',
    value: (volumes) => volumes.filter(({ detached }) => detached).length,
  },
  {
    name: 'podpass_expired_certificates',
    help: 'Certificates in volumes that have expired.',
    value: (volumes, now) => volumes.filter(({ issued }) => issued !== undefined && issued.notAfter <= now).length,
  },
  {
    name: 'certmanager_csi_certificate_request_expiration_timestamp_seconds',
    help: 'When the first of all certificates in volumes expires; absent without any.',
    value: (volumes) => earliest(volumes.map(({ issued }) => issued?.notAfter)),
  },
  {
    name: 'certmanager_csi_certificate_request_renewal_timestamp_seconds',
    help: 'When the next certificate is renewed; absent where none will be.',
    value: (volumes) => earliest(volumes.map(({ renewAt }) => renewAt)),
  },
]

/**
 * Registers what there is to say about the volumes as they are now. It is counted when somebody scrapes, so that it costs nothing
 * while nobody does.
 */
export function registerVolumeMetrics(registry: Registry, reports: () => readonly VolumeReport[], clock: Clock): void {
  const byState = new Gauge({
    name: 'podpass_volumes',
    help: 'Volumes by what they are doing. An unmanaged one cannot be read and is not renewed: its pod should be restarted.',
    labelNames: ['state'],
    registers: [],
    collect() {
      const volumes = reports()
      for (const state of states) this.set({ state }, volumes.filter((volume) => volume.state === state).length)
    },
  })
  registry.registerMetric(byState)
  for (const { name, help, value } of figures) {
    const figure = new Gauge({
      name,
      help,
      registers: [],
      collect() {
        const now = value(reports(), clock.now())
        if (now === undefined) this.remove()
        else this.set(now)
      },
    })
    registry.registerMetric(figure)
  }
}

/** @returns seconds */
function earliest(times: readonly (number | undefined)[]): number | undefined {
  let first: number | undefined
  for (const time of times) if (time !== undefined && (first === undefined || time < first)) first = time
  return first === undefined ? undefined : first / 1000
}
