import { type AttributeReader, attributePrefix, wholeNumber } from './attributes.ts'
import type { RenewalLead } from './renewal.ts'

/**
 * Reads when a certificate is renewed: `renew-before` is a duration or a percentage such as `25%`, `renew-before-percentage` the
 * number alone, as cert-manager's renewBeforePercentage: what is left of the actual lifetime.
 */
export function readRenewalLead(reader: AttributeReader): RenewalLead | undefined {
  const before = reader.text('renew-before')
  const percentage = reader.text('renew-before-percentage')
  if (before !== undefined && percentage !== undefined) {
    const message = `both are given, and one is enough: leave out ${attributePrefix}renew-before or this one`
    reader.problem('renew-before-percentage', message)
  }
  const share = percentage === undefined ? undefined : readShare(reader, 'renew-before-percentage', percentage)
  if (before?.endsWith('%') === true) return readShare(reader, 'renew-before', before.slice(0, -1))
  const milliseconds = reader.duration('renew-before')
  return milliseconds === undefined ? share : { is: 'time', milliseconds }
}

function readShare(
  reader: AttributeReader,
  name: 'renew-before' | 'renew-before-percentage',
  text: string,
): RenewalLead | undefined {
  const percent = wholeNumber(text)
  if (percent !== undefined && percent >= 1 && percent <= 99) return { is: 'share', percent }
  const [sign, example] = name === 'renew-before' ? ['%', '25%'] : ['', '25']
  const form = `must be a whole number of percent from 1 to 99, such as ${example}`
  reader.problem(name, `invalid value ${JSON.stringify(text + sign)}: ${form}`)
  return undefined
}
