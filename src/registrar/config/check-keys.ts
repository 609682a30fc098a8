import type { HclObject } from '../hcl/node.ts'
import { type Findings, placed } from './findings.ts'
import { findKey, nearestKey } from './keys.ts'
import type { RegistrarMode } from './registrar-config.ts'

/** Keys whose values add up where they appear more than once. */
const adding: ReadonlySet<string> = new Set([
  'disabled_namespaces',
  'dns_name_templates',
  'allow_downstream_namespaces',
  'context',
  'allowed_ids',
  'delete_fuse',
])

/**
 * Looks for keys that do nothing. The old registrar ignored them without a word, so that files which work have them: they are warnings,
 * except where a key of Podpass is misspelt, which no such file has.
 *
 * @param mode - undefined where it could not be read
 */
export function checkKeys({ items }: HclObject, mode: RegistrarMode | undefined, { own, warnings }: Findings): void {
  const seen = new Set<string>()
  for (const { keys } of items) {
    const [{ name, at }] = keys
    const key = findKey(name)
    if (key === undefined) {
      const meant = nearestKey(name, mode)
      const guess = meant === undefined ? '' : `, did you mean ${meant.name}?`
      const text = placed(at, `there is no key ${JSON.stringify(name)}${guess}`)
      if (meant?.isNew === true) own.push(text)
      else warnings.push(text)
    } else if (mode !== undefined && !key.modes.includes(mode)) {
      const text = `${key.name} does nothing in ${mode} mode: it is a key of ${key.modes.join(' and ')} mode`
      warnings.push(placed(at, text))
    } else if (seen.has(key.name) && !adding.has(key.name)) {
      warnings.push(placed(at, `${key.name} is given more than once: the last one counts`))
    }
    if (key !== undefined) seen.add(key.name)
  }
}
