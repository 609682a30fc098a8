import type { AllowedIds } from '../config/allowed-ids.ts'

/**
 * Whether an ID is one that a namespace may have: it is what a pattern of any rule for the namespace says.
 *
 * @param path - of the SPIFFE ID, with its leading slash
 */
export function isAllowedId(allowed: AllowedIds, namespace: string, path: string): boolean {
  return allowed.some(
    (rule) =>
      matches(rule.namespaces, namespace, 0) && rule.paths.some((pattern) => matchesPath(pattern, namespace, path)),
  )
}

function matchesPath(pattern: string, namespace: string, path: string): boolean {
  const wanted = pattern.split('/')
  const given = path.split('/')
  const takesRest = wanted.at(-1) === '**'
  if (takesRest ? given.length < wanted.length : given.length !== wanted.length) return false
  const plain = takesRest ? wanted.slice(0, -1) : wanted
  return plain.every((segment, index) => matches(segment.replaceAll('{namespace}', namespace), given[index] ?? '', 1))
}

/**
 * From the left, each asterisk takes as little as lets the text after it follow; the text after the last one stands at the end.
 *
 * @param fewest - characters that an asterisk stands for at least
 */
function matches(pattern: string, text: string, fewest: 0 | 1): boolean {
  const [head = '', ...parts] = pattern.split('*')
  const tail = parts.pop()
  if (tail === undefined) return text === head
  if (!text.startsWith(head)) return false
  let at = head.length
  for (const part of parts) {
    const found = text.indexOf(part, at + fewest)
    if (found < 0) return false
    at = found + part.length
  }
  return text.length - tail.length >= at + fewest && text.endsWith(tail)
}
