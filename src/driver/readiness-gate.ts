import { isIPv4, isIPv6 } from 'node:net'
import type { Pod } from '../kubernetes/object.ts'

/** A condition that a pod must meet before its certificate is asked for, such as having an address. */
export interface ReadinessGate {
  /** As it was written, for people. */
  readonly text: string
  readonly isOpen: (pod: Pod) => boolean
}

/** A gate that cannot be read. */
export class ReadinessGateError extends Error {
  override readonly name = 'ReadinessGateError'
  readonly code = 'READINESS_GATE'
}

/**
 * Reads a gate in the form of the Go driver: `pod-ip:any|ipv4|ipv6`, `pod-condition:TYPE[=True|False|Unknown]`, or
 * `pod-annotation:KEY`, which must be there and not empty.
 *
 * @throws {ReadinessGateError}
 */
export function parseReadinessGate(text: string): ReadinessGate {
  const [, kind = '', argument = ''] = /^([^:]+):(.+)$/.exec(text) ?? []
  switch (kind) {
    case 'pod-ip': {
      const fits = { any: () => true, ipv4: isIPv4, ipv6: isIPv6 }[argument]
      if (fits !== undefined) return { text, isOpen: (pod) => addresses(pod).some((address) => fits(address)) }
      break
    }
    case 'pod-condition': {
      const [, type, status = 'True'] = /^([^=]+)(?:=(True|False|Unknown))?$/.exec(argument) ?? []
      if (type === undefined) break
      return {
        text,
        isOpen: ({ status: now }) =>
          now?.conditions?.some((condition) => condition.type === type && condition.status === status) === true,
      }
    }
    case 'pod-annotation':
      return { text, isOpen: ({ metadata }) => (metadata.annotations?.[argument] ?? '') !== '' }
  }
  throw new ReadinessGateError(
    `readiness gate ${JSON.stringify(text)} is not valid: must be pod-ip:any|ipv4|ipv6, ` +
      'pod-condition:TYPE[=True|False|Unknown] or pod-annotation:KEY',
  )
}

function addresses({ status }: Pod): readonly string[] {
  const all = status?.podIPs?.map(({ ip }) => ip) ?? []
  return status?.podIP === undefined || status.podIP === '' ? all : [status.podIP, ...all]
}

/** The gates that a pod does not meet, for people; undefined where it meets all. */
export function closedGates(gates: readonly ReadinessGate[], pod: Pod | undefined): string | undefined {
  if (pod === undefined && gates.length > 0) return 'the pod has not been seen yet'
  const closed = gates.filter((gate) => pod !== undefined && !gate.isOpen(pod))
  return closed.length === 0 ? undefined : `the pod does not meet ${closed.map(({ text }) => text).join(' and ')}`
}
