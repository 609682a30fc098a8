import * as fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { throwingOnly } from '../../x509/throwing-only.ts'
import { loadCel, longestExpression } from './cel.ts'
import { type RuleCompiler, RuleError, type RuleInput, type RuleValue } from './rule.ts'

let compiler: RuleCompiler
beforeAll(async () => {
  compiler = await loadCel()
})

const map = (entries: Record<string, RuleValue>): ReadonlyMap<string, RuleValue> => new Map(Object.entries(entries))
const input: RuleInput = {
  request: map({ dnsNames: ['web.shop.svc', 'web'], commonName: '', keySize: 256n, namespace: 'shop' }),
  pod: map({ name: 'web-0', labels: map({ app: 'web', constructor: 'x' }) }),
}

test.each([
  ['request.dnsNames.all(name, name.startsWith("web"))', 'true'],
  ['request.dnsNames.exists(name, name.endsWith(".svc")) && request.keySize >= 256', 'true'],
  ['pod.labels["app"] == "web" && has(pod.labels.constructor) && !("tier" in pod.labels)', 'true'],
  ['request.dnsNames.map(name, name + ".").filter(name, name.matches("^web\\\\.$")).size() == 1', 'true'],
  ['request.commonName != ""', 'false'],
  ['[request].all(cr, cr.namespace == "shop")', 'true'],
  ['serviceAccount("system:serviceaccount:shop:web").getName() == "web"', 'true'],
  ['"%s/%s".format([request.namespace, pod.name]).lowerAscii() == "shop/web-0"', 'true'],
])('%s is %s', (expression, is) => {
  expect(compiler.compile(expression).evaluate(input)).toEqual({ is })
})

test.each([
  ['pod.labels.tier == "front"', /tier/],
  ['serviceAccount.name == "web"', /unresolved/],
  ['serviceAccount("anna").getName() == "anna"', /no service account/],
  ['request.dnsNames[7] == "x"', /index|no such|out of/i],
  ['request.commonName.matches("(")', /parenthesis|missing/i],
])('%s goes wrong, which is not a pass', (expression, message) => {
  expect(compiler.compile(expression).evaluate(input)).toEqual({
    is: 'error',
    message: expect.stringMatching(message) as string,
  })
})

describe('an expression is refused when it is loaded', () => {
  test.each([
    ['request.dnsName == ""', 'there is no field dnsName, did you mean dnsNames?'],
    ['requests.kind == ""', 'there is no variable requests, did you mean request?'],
    ['request.dnsNames.all(n, n.endWith("x"))', 'there is no function endWith, did you mean endsWith?'],
    ['request.keySize == "256"', 'int is compared with string'],
    ['request.keySize', 'it is int, and must be bool'],
    ['request.dnsNames.contains("x")', 'list(string).contains(string) does not fit any form of contains'],
    ['request.kind && true', '&& takes bool, and not string'],
    ['request.dnsNames.all(n, n)', '&& takes bool, and not string'],
    ['request.kind.all(n, true)', 'string is no list to look through'],
    ['request.dnsNames["a"] == ""', 'the index of a list takes int, and not string'],
    ['pod.labels.size() > "1"', '>(int, string) does not fit any form of >'],
    ['request.kind ==', 'expecting'],
    ['[1].all(a,[1].all(b,[1].all(c,[1].all(d,true))))', 'loops are nested deeper than 3'],
    [`request.kind == "${'x'.repeat(longestExpression)}"`, 'longer than 2048'],
    [`${'('.repeat(33)}true${')'.repeat(33)}`, 'brackets are nested deeper than 32'],
  ])('%s', (expression, message) => {
    expect(() => compiler.compile(expression)).toThrow(message)
    expect(() => compiler.compile(expression)).toThrow(RuleError)
  })
})

test('the variables that an expression looks at are told', () => {
  expect(compiler.compile('request.kind == "x" || pod.name == "y"').variables).toEqual(['request', 'pod'])
})

test('what takes too many steps is an error, even where the other side of an OR would do', () => {
  const many = Array.from({ length: 200 }, (_, index) => `n${index}`)
  const expensive = 'request.dnsNames.all(a, request.dnsNames.all(b, request.dnsNames.all(c, a + b != c)))'
  for (const expression of [expensive, `${expensive} || true`, `true && (${expensive} || request.kind == "x")`]) {
    const result = compiler.compile(expression).evaluate({ request: map({ dnsNames: many, kind: 'x' }) })
    expect(result).toEqual({ is: 'error', message: 'it takes too long' })
  }
  expect(compiler.compile('request.kind == "x"').evaluate({ request: map({ kind: 'x' }) })).toEqual({ is: 'true' })
})

test('what lasts too long by the clock is an error', async () => {
  let time = 0
  const many = { request: map({ dnsNames: Array.from({ length: 300 }, () => 'n'), kind: 'x' }) }
  const slow = await loadCel({ time: 10, steps: 1000 }, () => (time += 6))
  const message = 'it takes too long'
  expect(slow.compile('request.dnsNames.all(n, true)').evaluate(many)).toEqual({ is: 'error', message })
  const fast = await loadCel({ time: 10, steps: 1000 }, () => 0)
  expect(fast.compile('request.dnsNames.all(n, true)').evaluate(many)).toEqual({ is: 'true' })
})

test('a text that doubles with every step ends as an error', () => {
  for (const step of ['.map(a, a + a)', '.map(a, "%s%s".format([a, a]))']) {
    const doubling = `["xxxxxxxx"]${step.repeat(40)}.size() == 1`
    expect(compiler.compile(doubling).evaluate(input)).toMatchObject({ is: 'error' })
  }
})

test('any text is understood or refused with an error of its own', () => {
  const part = fc.constantFrom(
    'request',
    '.',
    'kind',
    '==',
    '"x"',
    '(',
    ')',
    '[',
    ']',
    'all',
    'a',
    ',',
    '&&',
    '!',
    '1',
    ' ',
    '{',
    '}',
    'has',
    '?',
    ':',
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(part, { maxLength: 12 }).map((parts) => parts.join('')),
        fc.string(),
      ),
      (text) => {
        const compiled = throwingOnly([RuleError], () => compiler.compile(text))
        expect(['true', 'false', 'error']).toContain(compiled?.evaluate(input).is ?? 'error')
      },
    ),
    { numRuns: 300 },
  )
})
