import { createECDH, ECDH } from 'node:crypto'
import { constructedBit, tag } from '../../src/x509/der-reader.ts'
import { copyOf, type DerNode, leaf, nodesOf, parent, valuesOf } from './der-tree.ts'
import type { Random } from './random.ts'

/** One change of a tree. It may have nothing to do in the one it is given. */
export type Mutation = (tree: DerNode, random: Random) => void

const stringTags: readonly number[] = [
  tag.utf8String,
  tag.printableString,
  tag.ia5String,
  tag.teletexString,
  tag.bmpString,
  tag.universalString,
  tag.numericString,
  tag.visibleString,
]
const generalNameTags = Array.from({ length: 9 }, (_, number) => tag.context(number))
const tags: readonly number[] = [...Object.values(tag).filter((one) => typeof one === 'number'), 0, 0x1f, 0xa0, 0xa3]

/** Bytes at which readers part ways: ends of text, separators, wildcards, signs of length and of encoding. */
const odd: readonly number[] = [
  0x00, 0x0a, 0x0d, 0x20, 0x25, 0x2a, 0x2e, 0x2f, 0x40, 0x5c, 0x7f, 0x80, 0xa0, 0xc0, 0xff,
]

/** Texts that readers read differently, or that mean more than they say, and some that are as good as the ones they replace. */
const texts: readonly string[] = [
  'api',
  'api.shop.svc',
  'API.Shop.svc',
  '*.shop.example',
  '*',
  '*.*.example',
  'a*.example',
  'a..b',
  '.a',
  'a.',
  '-a.b',
  'a_b.c',
  'xn--bcher-kva.example',
  'xn--a',
  'ab--c.example',
  '10.0.0.1',
  '1.2',
  '0x7f.1',
  '127.1',
  'a.0x1',
  'a\0.example',
  'a.example\0',
  'bücher.example',
  'раураl.example',
  'a\u200bb',
  'a\u202eb',
  'a\u00adb',
  'e\u0301',
  'ß',
  '😀',
  ' a',
  'a ',
  'a  b',
  'a\nb',
  'a\tb',
  'system:masters',
  'system:admin',
  'SYSTEM:masters',
  'CN=admin',
  'a,O=admin',
  'a+O=admin',
  '#0401',
  'a"b',
  'a\\b',
  'a<b>;c',
  "a'b&c@d*e",
  'DNS:b.example',
  'a, DNS:b.example',
  'a/CN=b',
  'DE',
  'x'.repeat(64),
  'x'.repeat(65),
  'y'.repeat(300),
  `${'a.'.repeat(126)}b`,
  'spiffe://td/ns/a',
  'SPIFFE://TD/ns/a',
  'spiffe://td',
  'spiffe://td/',
  'spiffe://td//a',
  'spiffe://td/./a',
  'spiffe://td/../a',
  'spiffe://td/%61',
  'spiffe://td/a?b',
  'spiffe://td/a#b',
  'spiffe://u@td/a',
  'spiffe://td:80/a',
  'spiffe://td:080/a',
  'spiffe://td:65536/a',
  'spiffe://td:/a',
  'spiffe://[::1]/a',
  'spiffe://1.2.3.4/a',
  'spiffe://td/a;b=c',
  'spiffe://td/a,b',
  'spiffe://td/a:b',
  'spiffe:td/a',
  'a:b',
  'urn:a:b',
  'javascript:alert(1)',
  'https://a.example/~x',
  'http+unix://a/b',
  'a-b.c+d://e/f',
  'https://a.example:443',
  'a@b.example',
  'A@B.Example',
  'a+b@c.example',
  '"a"@b.example',
  'a@b@c.example',
  'a@[1.2.3.4]',
  '@b',
  'a@',
  'a@b.example, email:c@d',
  'a.b.@c.d',
  'a_b-c@d.e',
]

/** Object identifiers that stand in requests, and some that mean nothing or cannot be. */
const identifiers: readonly string[] = [
  '550403',
  '550406',
  '55040a',
  '55040b',
  '550405',
  '550411',
  '550409',
  '0992268993f22c640101',
  '0992268993f22c640119',
  '2a864886f70d010901',
  '551d0e',
  '551d0f',
  '551d11',
  '551d12',
  '551d13',
  '551d1e',
  '551d20',
  '551d23',
  '551d25',
  '551d2500',
  '2b0601050507030f',
  '2b06010505070301',
  '2b06010505070303',
  '2b06010505070309',
  '2b0601040182371402',
  '2b06010401823714020200',
  '2a864886f70d01090e',
  '2a864886f70d010907',
  '2b060104018237020e',
  '',
  '80',
  '5580',
  '558003',
  '55048003',
  '2a8648',
  'ffffffffffffffffff7f',
  '2b8880808080808080800100',
  `2a${'ff'.repeat(20)}7f`,
  `55${'81'.repeat(60)}01`,
  '8837',
  '78',
  '4f',
  '50',
]

function nodeWhere(tree: DerNode, random: Random, test: (node: DerNode) => boolean): DerNode | undefined {
  const found = nodesOf(tree).filter(test)
  return found.length === 0 ? undefined : random.pick(found)
}

function isText({ tag }: DerNode): boolean {
  return stringTags.includes(tag) || tag === 0x81 || tag === 0x82 || tag === 0x86
}

/** A change of the bytes of a leaf. */
function ofBytes(
  change: (bytes: Uint8Array, random: Random) => Uint8Array,
  test?: (node: DerNode) => boolean,
): Mutation {
  return (tree, random) => {
    const node = nodeWhere(tree, random, (one) => one.content.is === 'bytes' && (test?.(one) ?? true))
    if (node?.content.is === 'bytes') node.content.bytes = change(node.content.bytes, random)
  }
}

/** A change of a list of values. */
function ofValues(change: (values: DerNode[], random: Random, tree: DerNode) => void): Mutation {
  return (tree, random) => {
    const node = nodeWhere(tree, random, (one) => valuesOf(one).length > 0)
    if (node !== undefined) change(valuesOf(node), random, tree)
  }
}

function ofNode(test: (node: DerNode) => boolean, change: (node: DerNode, random: Random) => void): Mutation {
  return (tree, random) => {
    const node = nodeWhere(tree, random, test)
    if (node !== undefined) change(node, random)
  }
}

function spliced(bytes: Uint8Array, at: number, remove: number, ...insert: readonly number[]): Uint8Array {
  return Buffer.concat([bytes.subarray(0, at), Uint8Array.from(insert), bytes.subarray(at + remove)])
}

/** Where the list of a request's extensions is, and where its names are: their object identifiers lead to them. */
function valueOf(tree: DerNode, identifier: string): DerNode | undefined {
  const holder = nodesOf(tree).find((node) => {
    const [first] = valuesOf(node)
    return first?.content.is === 'bytes' && first.tag === tag.oid && first.content.bytes.toHex() === identifier
  })
  return holder === undefined ? undefined : valuesOf(holder).at(-1)
}

const extensionRequest = '2a864886f70d01090e'
const subjectAltName = '551d11'

function extensionsOf(tree: DerNode): DerNode[] {
  const [list] = valuesOf(valueOf(tree, extensionRequest) ?? tree)
  return list === undefined ? [] : valuesOf(list)
}

function namesOf(tree: DerNode): DerNode[] | undefined {
  const [list] = valuesOf(valueOf(tree, subjectAltName) ?? leaf(0, new Uint8Array()))
  return list?.content.is === 'values' ? list.content.values : undefined
}

function text(value: string): Uint8Array {
  return Buffer.from(value, 'utf8')
}

/** The same point, written so that few readers take it (SEC 1 §2.3.3). */
function otherPoint(bytes: Uint8Array, random: Random): Uint8Array {
  const curve = { 66: 'prime256v1', 98: 'secp384r1', 134: 'secp521r1' }[bytes.length]
  if (curve === undefined) return spliced(bytes, random.below(bytes.length), 0, 0)
  const form = random.pick(['compressed', 'hybrid'] as const)
  try {
    const point = ECDH.convertKey(bytes.subarray(1), curve, undefined, undefined, form)
    return Buffer.concat([Uint8Array.of(0), point])
  } catch {
    // It is no point any more.
    return bytes
  }
}

/** A point of another curve in the same bytes, so that parameters and point disagree. */
function foreignPoint(random: Random): Uint8Array {
  const exchange = createECDH(random.pick(['secp256k1', 'brainpoolP256r1', 'secp224r1']))
  exchange.setPrivateKey(Buffer.alloc(20, 1 + random.below(200)))
  return Buffer.concat([Uint8Array.of(0), exchange.getPublicKey()])
}

const dropMany = 600

/** Every kind of change, by name. */
export const mutations: Readonly<Record<string, Mutation>> = {
  'flip a bit': ofBytes((bytes, random) => {
    const at = random.below(bytes.length)
    return bytes.length === 0 ? bytes : bytes.with(at, (bytes[at] ?? 0) ^ (1 << random.below(8)))
  }),
  'flip a bit of a text': ofBytes((bytes, random) => {
    const at = random.below(bytes.length)
    return bytes.length === 0 ? bytes : bytes.with(at, (bytes[at] ?? 0) ^ (1 << random.below(8)))
  }, isText),
  'write an odd byte': ofBytes((bytes, random) =>
    bytes.length === 0 ? bytes : bytes.with(random.below(bytes.length), random.pick(odd)),
  ),
  'insert an odd byte': ofBytes((bytes, random) => spliced(bytes, random.below(bytes.length + 1), 0, random.pick(odd))),
  'insert an odd byte into a text': ofBytes(
    (bytes, random) => spliced(bytes, random.below(bytes.length + 1), 0, random.pick(odd)),
    isText,
  ),
  'drop a byte': ofBytes((bytes, random) => spliced(bytes, random.below(bytes.length + 1), 1)),
  'cut a value': ofBytes((bytes, random) => bytes.subarray(0, random.below(bytes.length + 1))),
  'empty a value': ofBytes(() => new Uint8Array()),
  'lengthen a value': ofBytes((bytes, random) =>
    Buffer.concat([bytes, Buffer.alloc(1 + random.below(300), random.pick(odd))]),
  ),
  'replace a text': ofBytes((_bytes, random) => text(random.pick(texts)), isText),
  'replace a text, and its type': ofNode(isText, (node, random) => {
    node.tag = random.pick(stringTags)
    node.content = { is: 'bytes', bytes: text(random.pick(texts)) }
  }),
  'change the case of a text': ofBytes((bytes, random) => {
    const value = Buffer.from(bytes).toString('latin1')
    return Buffer.from(random.oneIn(2) ? value.toUpperCase() : value.toLowerCase(), 'latin1')
  }, isText),
  'widen a text': ofNode(isText, (node) => {
    if (node.content.is !== 'bytes') return
    node.tag = tag.bmpString
    node.content = {
      is: 'bytes',
      bytes: Buffer.from(Buffer.from(node.content.bytes).toString('utf8'), 'utf16le').swap16(),
    }
  }),
  'change the type of a text': ofNode(isText, (node, random) => {
    node.tag = random.pick(stringTags)
  }),
  'change a tag': ofNode(
    () => true,
    (node, random) => {
      node.tag = random.pick(tags)
    },
  ),
  'flip the constructed bit': ofNode(
    () => true,
    (node) => {
      node.tag ^= constructedBit
    },
  ),
  'write a length in too many bytes': ofNode(
    () => true,
    (node, random) => {
      node.length = { is: 'long', bytes: 1 + random.below(8) }
    },
  ),
  'leave a length open': ofNode(
    () => true,
    (node) => {
      node.length = { is: 'indefinite' }
    },
  ),
  'write a wrong length': ofNode(
    () => true,
    (node, random) => {
      node.length = { is: 'wrong', by: random.pick([-2, -1, 1, 2, 127, 128, 2 ** 16, 2 ** 31, 2 ** 32, 2 ** 47]) }
    },
  ),
  'repeat a value': ofValues((values, random) => {
    const at = random.below(values.length)
    const value = values[at]
    if (value !== undefined) values.splice(random.below(values.length + 1), 0, copyOf(value))
  }),
  'remove a value': ofValues((values, random) => {
    values.splice(random.below(values.length), 1)
  }),
  'reorder values': ofValues((values, random) => {
    const [moved] = values.splice(random.below(values.length), 1)
    if (moved !== undefined) values.splice(random.below(values.length + 1), 0, moved)
  }),
  'sort values': ofValues((values) => {
    values.reverse()
  }),
  'move a value elsewhere': ofValues((values, random, tree) => {
    const [moved] = values.splice(random.below(values.length), 1)
    const to = nodeWhere(tree, random, (one) => valuesOf(one).length > 0)
    if (moved !== undefined && to !== undefined) valuesOf(to).splice(random.below(valuesOf(to).length + 1), 0, moved)
  }),
  'put a value into a value': ofValues((values, random) => {
    const at = random.below(values.length)
    const value = values[at]
    if (value !== undefined) values[at] = parent(random.pick([tag.sequence, tag.set, tag.octetString, 0xa0]), value)
  }),
  'nest deeply': ofValues((values, random) => {
    let node = leaf(tag.null, new Uint8Array())
    for (let depth = random.below(200); depth > 0; depth--) node = parent(tag.sequence, node)
    values.push(node)
  }),
  'add a value': ofValues((values, random) => {
    values.push(leaf(random.pick(tags), Buffer.alloc(random.below(5), random.pick(odd))))
  }),
  'replace an identifier': ofBytes(
    (_bytes, random) => Uint8Array.fromHex(random.pick(identifiers)),
    (node) => node.tag === tag.oid,
  ),
  'change an identifier': ofBytes(
    (bytes, random) => spliced(bytes, random.below(bytes.length + 1), random.below(2), random.below(256)),
    (node) => node.tag === tag.oid,
  ),
  'replace a purpose': (tree, random) => {
    const [list] = valuesOf(valueOf(tree, '551d25') ?? tree)
    for (const node of list === undefined ? [] : valuesOf(list)) {
      if (random.oneIn(2)) node.content = { is: 'bytes', bytes: Uint8Array.fromHex(random.pick(identifiers)) }
    }
  },
  'ask for many extensions': (tree, random) => {
    const extensions = extensionsOf(tree)
    const [first] = extensions
    if (first === undefined) return
    for (let count = random.below(dropMany); count > 0; count--) {
      const copy = copyOf(first)
      const [id] = valuesOf(copy)
      if (id !== undefined && !random.oneIn(50))
        id.content = { is: 'bytes', bytes: Uint8Array.of(0x2a, 3, count & 0x7f, count >> 7) }
      extensions.push(copy)
    }
  },
  'ask for many names': (tree, random) => {
    const names = namesOf(tree)
    for (let count = random.below(dropMany); count > 0; count--) names?.push(leaf(0x82, text(`n${count}.example`)))
  },
  'add a name': (tree, random) => {
    namesOf(tree)?.push(leaf(random.pick([0x81, 0x82, 0x82, 0x86]), text(random.pick(texts))))
  },
  'add an address': (tree, random) => {
    const bytes = random.pick([4, 4, 16, 16, 5, 8, 17, 0])
    const address = Buffer.alloc(bytes, random.below(256))
    // An IPv4 address in the form of IPv6 (RFC 4291 §2.5.5.2).
    if (bytes === 16 && random.oneIn(2)) address.fill(0, 0, 10).fill(0xff, 10, 12)
    namesOf(tree)?.push(leaf(0x87, address))
  },
  'change the kind of a name': (tree, random) => {
    const names = namesOf(tree) ?? []
    if (names.length > 0) random.pick(names).tag = random.pick(generalNameTags)
  },
  'add an attribute to the subject': (tree, random) => {
    const subject = valuesOf(tree)[1]
    const attribute = parent(
      tag.sequence,
      leaf(tag.oid, Uint8Array.fromHex(random.pick(identifiers))),
      leaf(random.pick(stringTags), text(random.pick(texts))),
    )
    if (subject?.content.is !== 'values') return
    const levels = subject.content.values
    if (levels.length === 0 || random.oneIn(2)) levels.push(parent(tag.set, attribute))
    else valuesOf(random.pick(levels)).push(attribute)
  },
  'add an attribute to the request': (tree, random) => {
    const attributes = valuesOf(tree)[3]
    if (attributes?.content.is !== 'values') return
    const value = leaf(random.pick(stringTags), text(random.pick(texts)))
    const identifier = Uint8Array.fromHex(random.pick(identifiers))
    attributes.content.values.push(parent(tag.sequence, leaf(tag.oid, identifier), parent(tag.set, value)))
  },
  'write critical out': (tree, random) => {
    const extensions = extensionsOf(tree)
    if (extensions.length === 0) return
    const values = valuesOf(random.pick(extensions))
    const critical = leaf(tag.boolean, Uint8Array.of(random.pick([0, 1, 0x7f, 0xff, 0xff])))
    values.splice(1, values.length > 2 && random.oneIn(2) ? 1 : 0, critical)
  },
  'ask to be a CA': (tree, random) => {
    const inside = [leaf(tag.boolean, Uint8Array.of(random.pick([0, 1, 0xff])))]
    if (random.oneIn(2)) inside.push(leaf(tag.integer, Uint8Array.of(random.below(256))))
    extensionsOf(tree).push(
      parent(
        tag.sequence,
        leaf(tag.oid, Uint8Array.fromHex('551d13')),
        parent(tag.octetString, parent(tag.sequence, ...inside)),
      ),
    )
  },
  'put bytes behind a value in an octet string': ofNode(
    ({ tag: one, content }) => one === tag.octetString && content.is === 'values',
    (node, random) => {
      valuesOf(node).push(leaf(random.pick(tags), new Uint8Array(random.below(3))))
    },
  ),
  'write another version': (tree, random) => {
    const [version] = valuesOf(tree)
    const bytes = Uint8Array.fromHex(random.pick(['01', '02', 'ff', '0000', '', '80', '0100000000', '00']))
    if (version !== undefined) version.content = { is: 'bytes', bytes }
  },
  'write the point of the key otherwise': ofBytes(otherPoint, ({ tag: one }) => one === tag.bitString),
  'take a point of another curve': ofBytes(
    (_bytes, random) => foreignPoint(random),
    ({ tag: one, content }) => one === tag.bitString && content.is === 'bytes' && content.bytes.length >= 66,
  ),
  'change the number of unused bits': ofBytes(
    (bytes, random) => (bytes.length === 0 ? bytes : bytes.with(0, random.below(9))),
    ({ tag: one }) => one === tag.bitString,
  ),
  'change the parameters of the key': (tree, random) => {
    const [algorithm] = valuesOf(valuesOf(tree)[2] ?? tree)
    const values = algorithm === undefined ? [] : valuesOf(algorithm)
    if (random.oneIn(2)) values.splice(1, 1)
    if (random.oneIn(2)) values.push(leaf(tag.null, new Uint8Array()))
  },
}

/** Those that often leave a request that can be read, so that what it says is looked at. */
export const contentMutations: readonly string[] = [
  'add a name',
  'add an address',
  'add an attribute to the subject',
  'change the case of a text',
  'change the kind of a name',
  'change the type of a text',
  'flip a bit of a text',
  'insert an odd byte into a text',
  'remove a value',
  'reorder values',
  'repeat a value',
  'replace a purpose',
  'replace a text',
  'replace a text, and its type',
  'replace an identifier',
  'write critical out',
]
