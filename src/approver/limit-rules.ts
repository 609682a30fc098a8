import { formatGoDuration, parseGoDuration } from '../runtime/go-duration.ts'
import { formatKeySpec } from '../x509/key.ts'
import { canonicalUsage, type KeyUsage } from '../x509/key-usage.ts'
import { failed, passed, type RuleOutcome } from './outcome.ts'
import type { CertificatePolicySpec } from './policy/certificate-policy.ts'
import type { AskedCertificate } from './request/asked-certificate.ts'

/** What a workload's certificate is for, where a policy does not say. */
export const defaultUsages: readonly KeyUsage[] = [
  'digital signature',
  'key encipherment',
  'server auth',
  'client auth',
]

/** Holds key, usages and lifetime of a request against a policy. All of it stands in the request, so a failure is for good. */
export function limitOutcomes(spec: CertificatePolicySpec, asked: AskedCertificate): RuleOutcome[] {
  return [keyOutcome(spec, asked), usageOutcome(spec, asked), ...durationOutcomes(spec, asked)]
}

function keyOutcome({ keys }: CertificatePolicySpec, { key }: AskedCertificate): RuleOutcome {
  const value = formatKeySpec(key)
  const fitting = (keys ?? []).some(({ algorithm, minSize = 0, maxSize = Infinity }) => {
    const size = 'size' in key ? key.size : undefined
    return algorithm === key.algorithm && (size === undefined || (size >= minSize && size <= maxSize))
  })
  if (keys === undefined || fitting) return passed('key', value, 'the policy allows it')
  const allowed = keys.map(({ algorithm, minSize, maxSize }) =>
    [algorithm, minSize, maxSize && `to ${maxSize}`].filter(Boolean).join(' '),
  )
  return failed('key', 'intrinsic', value, `the policy allows ${allowed.join(', ')}`)
}

function usageOutcome(spec: CertificatePolicySpec, asked: AskedCertificate): RuleOutcome {
  const allowed = new Set((spec.usages ?? defaultUsages).map(canonicalUsage))
  const other = asked.usages.filter((usage) => !allowed.has(usage))
  const value = asked.usages.join(', ')
  if (other.length === 0) return passed('usages', value, 'the policy allows them')
  return failed('usages', 'intrinsic', other.join(', '), `the policy allows ${[...allowed].join(', ')}`)
}

function durationOutcomes({ duration }: CertificatePolicySpec, asked: AskedCertificate): RuleOutcome[] {
  if (duration === undefined) return []
  const { min, max } = duration
  if (asked.duration === undefined)
    return [failed('duration', 'intrinsic', '', 'it names no lifetime, and the policy limits it')]
  const value = formatGoDuration(asked.duration)
  if (min !== undefined && asked.duration < parseGoDuration(min))
    return [failed('duration', 'intrinsic', value, `the policy allows ${min} or more`)]
  if (max !== undefined && asked.duration > parseGoDuration(max))
    return [failed('duration', 'intrinsic', value, `the policy allows ${max} at most`)]
  return [passed('duration', value, 'the policy allows it')]
}
