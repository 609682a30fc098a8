import { asBoolean, asInteger, asNumber, asText, describeNode, itemsUnder } from '../hcl/decode.ts'
import type { HclItem, HclNode, HclObject, Position } from '../hcl/node.ts'

/** The values of a block by key, each as HCL 1 decodes it. What is of another type is reported, and read as if it were absent. */
export interface Fields {
  /** The place of a key; undefined where it is absent. */
  place(key: string): Position | undefined
  /** The empty text where it is absent, which is the same to HCL 1. */
  text(key: string): string
  boolean(key: string, standard: boolean): boolean
  /** Undefined where it is absent. */
  integer(key: string): number | undefined
  /** Undefined where it is absent. */
  number(key: string): number | undefined
  /** A list; one that appears again goes on. Undefined where it is absent. */
  texts(key: string): readonly string[] | undefined
  /** A block of texts; one that appears again adds to it. Undefined where it is absent. */
  map(key: string): Readonly<Record<string, string>> | undefined
  /** The items of a block, in their order; those of one that appears again follow. Undefined where it is absent. */
  block(key: string): readonly HclItem[] | undefined
}

/** Told of a value that is of another type than its key's. */
export type OnWrongType = (key: string, at: Position, problem: string) => void

export function fieldsOf(object: HclObject, onWrongType: OnWrongType): Fields {
  const wrong = (key: string, node: HclNode, expected: string, item = ''): undefined => {
    onWrongType(key, node.at, `${key}${item} must be ${expected}, and is ${describeNode(node)}`)
  }

  const nodes = (key: string): readonly HclNode[] =>
    itemsUnder(object, key).flatMap(({ keys: [, label], value }) => {
      if (label === undefined) return [value]
      onWrongType(key, label.at, `${key} takes no label, and has ${JSON.stringify(label.name)}`)
      return []
    })

  /** The last one counts, and all of them must be right. */
  const last = <Value>(
    key: string,
    read: (node: HclNode) => Value | undefined,
    expected: string,
  ): Value | undefined => {
    let found: Value | undefined
    for (const node of nodes(key)) found = read(node) ?? wrong(key, node, expected)
    return found
  }

  const block = (key: string): readonly HclItem[] | undefined => {
    const blocks = nodes(key).map((node) => (node.is === 'object' ? node.items : wrong(key, node, 'a block')))
    return blocks.length === 0 ? undefined : blocks.flatMap((items) => items ?? [])
  }

  return {
    place: (key) => itemsUnder(object, key)[0]?.keys[0].at,
    text: (key) => last(key, asText, 'a text') ?? '',
    boolean: (key, standard) => last(key, asBoolean, 'true or false') ?? standard,
    integer: (key) => last(key, asInteger, 'a whole number'),
    number: (key) => last(key, asNumber, 'a number'),
    texts: (key) => {
      const lists = nodes(key).map((node) =>
        textsOf(node, (found, item) => wrong(key, found, item === '' ? 'a list of texts' : 'a text', item)),
      )
      return lists.length === 0 ? undefined : lists.flat()
    },
    map: (key) => {
      const items = block(key)
      if (items === undefined) return undefined
      const read = items.map(({ keys: [{ name }], value }): [string, string] => [
        name,
        asText(value) ?? wrong(key, value, 'a text', `.${name}`) ?? '',
      ])
      return Object.fromEntries(read)
    },
    block,
  }
}

/**
 * The texts of a list. An empty block is an empty list to HCL 1.
 *
 * @param onWrong - told of what is no text, with its index in brackets, or of what is no list
 */
export function textsOf(node: HclNode, onWrong: (node: HclNode, item: string) => void): readonly string[] {
  if (node.is === 'object' && node.items.length === 0) return []
  if (node.is !== 'list') {
    onWrong(node, '')
    return []
  }
  return node.items.flatMap((element, index) => {
    const text = asText(element)
    if (text === undefined) onWrong(element, `[${index}]`)
    return text ?? []
  })
}
