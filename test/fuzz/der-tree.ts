import { children, constructedBit, DerError, type DerValue, readDer, tag } from '../../src/x509/der-reader.ts'

/** DER as a tree that can be changed, and written with lengths that no encoder would write. */
export interface DerNode {
  tag: number
  content: DerContent
  length?: LengthForm
}

/** Bytes, values inside a value, or values inside an octet string, as extensions have them. */
export type DerContent = { readonly is: 'bytes'; bytes: Uint8Array } | { readonly is: 'values'; values: DerNode[] }

/** How a length is written where it is not as DER has it: in more bytes than it needs, without one, or wrongly. */
export type LengthForm =
  | { readonly is: 'long'; readonly bytes: number }
  | { readonly is: 'indefinite' }
  | { readonly is: 'wrong'; readonly by: number }

/** @param der - a request as it should be: it is read strictly */
export function treeOf(der: Uint8Array): DerNode {
  return nodeOf(readDer(der))
}

function nodeOf(value: DerValue): DerNode {
  const inside = valuesInside(value)
  if (inside === undefined) return leaf(value.tag, value.content)
  return { tag: value.tag, content: { is: 'values', values: inside.map(nodeOf) } }
}

function valuesInside(value: DerValue): readonly DerValue[] | undefined {
  if ((value.tag & constructedBit) !== 0) return children(value)
  if (value.tag !== tag.octetString) return undefined
  try {
    return [readDer(value.content)]
  } catch (error) {
    if (error instanceof DerError) return undefined
    throw error
  }
}

export function leaf(tag: number, bytes: Uint8Array): DerNode {
  return { tag, content: { is: 'bytes', bytes } }
}

export function parent(tag: number, ...values: DerNode[]): DerNode {
  return { tag, content: { is: 'values', values } }
}

/** Writes a tree; what was changed in it comes out as it stands there. */
export function writeTree({ tag, content, length }: DerNode): Uint8Array {
  const inside = content.is === 'bytes' ? content.bytes : Buffer.concat(content.values.map(writeTree))
  const end = length?.is === 'indefinite' ? [0, 0] : []
  return Buffer.concat([Uint8Array.of(tag, ...lengthOctets(inside.length, length)), inside, Uint8Array.from(end)])
}

function lengthOctets(length: number, form: LengthForm | undefined): number[] {
  if (form?.is === 'indefinite') return [0x80]
  const said = form?.is === 'wrong' ? Math.max(0, length + form.by) : length
  const least = form?.is === 'long' ? form.bytes : 0
  if (said < 0x80 && least === 0) return [said]
  const octets: number[] = []
  for (let rest = said; rest > 0 || octets.length < least; rest = Math.floor(rest / 256)) octets.unshift(rest % 256)
  return [0x80 | octets.length, ...octets]
}

/** Every node of a tree, parents first. */
export function nodesOf(node: DerNode): DerNode[] {
  return [node, ...valuesOf(node).flatMap(nodesOf)]
}

/** The values inside; none in a leaf. */
export function valuesOf({ content }: DerNode): DerNode[] {
  return content.is === 'values' ? content.values : []
}

export function copyOf(node: DerNode): DerNode {
  const { content } = node
  return {
    ...node,
    // Bytes are replaced and never changed in their place.
    content: content.is === 'bytes' ? { ...content } : { is: 'values', values: content.values.map(copyOf) },
  }
}
