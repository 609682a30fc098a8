import type { HclItem, Position } from '../hcl/node.ts'
import { describeNode } from '../hcl/decode.ts'
import { textsOf } from './fields.ts'

/**
 * Which SPIFFE IDs the pods of a namespace may be given by a label, an annotation or a template, and which its SpiffeIDs may name. An ID
 * is allowed where a pattern of any rule for its namespace takes it; in a namespace without a rule, none is.
 */
export type AllowedIds = readonly AllowedIdsRule[]

export interface AllowedIdsRule {
  /** A namespace, or a pattern in which each `*` stands for any number of characters: `team-*`. */
  readonly namespaces: string
  /**
   * Patterns of an ID's path, each with its leading slash, such as `/teams/{namespace}/*` or `/ns/{namespace}/**`. Within a segment
   * each `*` stands for one or more characters; `**`, a whole segment and the last one, for one or more segments; `{namespace}` for
   * the namespace.
   */
  readonly paths: readonly string[]
}

/**
 * Reads the block `allowed_ids`: namespaces, each with a list of paths.
 *
 * @param onProblem - told of everything that is no such rule
 */
export function readAllowedIds(
  items: readonly HclItem[],
  onProblem: (at: Position, problem: string) => void,
): AllowedIds {
  return items.map(({ keys: [{ name, at }, ...labels], value }) => {
    const key = `allowed_ids.${JSON.stringify(name)}`
    if (!/^[a-z0-9*-]+$/.test(name)) {
      onProblem(at, `${key} is no namespace, nor a pattern of one such as "team-*"`)
    }
    if (labels.length > 0) {
      onProblem(at, `${key} must be a list of paths: ${JSON.stringify(name)} = ["/ns/{namespace}/**"]`)
      return { namespaces: name, paths: [] }
    }
    const patterns = textsOf(value, (node, item) => {
      const expected = item === '' ? 'a list of paths' : 'a text'
      onProblem(node.at, `${key}${item} must be ${expected}, and is ${describeNode(node)}`)
    })
    const paths = patterns.map((pattern) => {
      const path = pattern.startsWith('/') ? pattern : `/${pattern}`
      const problem = patternProblem(path)
      if (problem !== undefined) onProblem(value.at, `${key}: ${JSON.stringify(pattern)} ${problem}`)
      return path
    })
    return { namespaces: name, paths }
  })
}

function patternProblem(path: string): string | undefined {
  if (path.startsWith('/spiffe://')) return 'must be a path, without spiffe:// and the trust domain'
  const segments = path.split('/').slice(1)
  if (segments.includes('')) return 'has an empty segment'
  if (segments.includes('.') || segments.includes('..')) return 'has a dot segment, which no SPIFFE ID has'
  for (const [index, segment] of segments.entries()) {
    if (segment === '**' && index === segments.length - 1) continue
    if (segment.includes('**')) return 'has ** elsewhere than as its whole last segment'
    const placeholder = /\{[^}]*\}?/.exec(segment.replaceAll('{namespace}', ''))?.[0]
    if (placeholder !== undefined) return `has ${placeholder}; only {namespace} is known`
    if (!/^(?:[A-Za-z0-9._*-]|\{namespace\})+$/.test(segment)) return 'has a character that no SPIFFE ID has'
  }
  return undefined
}
