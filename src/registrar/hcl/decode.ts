import type { HclItem, HclNode, HclObject } from './node.ts'

/**
 * The items of an object under a key. Letters of either case are the same in keys of HCL 1.
 *
 * @param key - in small letters
 */
export function itemsUnder(object: HclObject, key: string): readonly HclItem[] {
  return object.items.filter(({ keys: [first] }) => first.name.toLowerCase() === key)
}

/** A text as HCL 1 decodes it: a whole number stands for its own digits. Undefined for anything else. */
export function asText(node: HclNode): string | undefined {
  return node.is === 'string' || node.is === 'heredoc' || node.is === 'number' ? node.value : undefined
}

/** A boolean as HCL 1 decodes it: also 0, 1, and either word in quotes, in letters of any case. Undefined for anything else. */
export function asBoolean(node: HclNode): boolean | undefined {
  if (node.is !== 'boolean' && node.is !== 'string' && node.is !== 'number') return undefined
  switch (node.written.replaceAll('"', '').toLowerCase()) {
    case '1':
    case 'true':
      return true
    case '0':
    case 'false':
      return false
    default:
      return undefined
  }
}

const integer = /^[+-]?(?:0x[\da-f]+|0b[01]+|0o?[0-7]+|0|[1-9]\d*)$/i

/**
 * A whole number as HCL 1 decodes it: decimal, hexadecimal (`0x`) or octal (a leading 0), also in quotes. Undefined for anything
 * else, and for what JavaScript cannot count exactly.
 */
export function asInteger(node: HclNode): number | undefined {
  if ((node.is !== 'number' && node.is !== 'string') || !integer.test(node.value)) return undefined
  const digits = node.value.replace(/^[+-]/, '').replace(/^0(?=[0-7])/, '0o')
  const value = node.value.startsWith('-') ? -Number(digits) : Number(digits)
  return Number.isSafeInteger(value) ? value : undefined
}

/** A number with or without a fraction. Undefined for anything else. */
export function asNumber(node: HclNode): number | undefined {
  if (node.is !== 'float') return asInteger(node)
  const value = Number(node.value)
  return Number.isFinite(value) ? value : undefined
}

/** What a value is, for people. */
export function describeNode(node: HclNode): string {
  switch (node.is) {
    case 'object':
      return 'a block'
    case 'list':
      return 'a list'
    case 'string':
    case 'heredoc':
      return 'a text'
    case 'number':
    case 'float':
      return `the number ${node.written}`
    case 'boolean':
      return node.written
  }
}
