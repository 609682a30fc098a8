import type { Finding, PodExplanation, Verdict } from '../registrar/plan/pod-explanation.ts'
import type { EntryText } from '../registrar/plan/plan-report.ts'
import { clean, type Look, paint, type Style, wrap } from '../try/look.ts'

const verdictStyles = {
  registered: 'green',
  pending: 'yellow',
  outdated: 'yellow',
  ending: 'yellow',
  none: 'dim',
  unreachable: 'red',
  refused: 'red',
  conflict: 'red',
  unknown: 'red',
} as const satisfies Record<Verdict, Style>

const marks: Readonly<Record<Finding['is'], readonly [mark: string, style: Style]>> = {
  good: ['✓', 'green'],
  bad: ['✗', 'red'],
  odd: ['!', 'yellow'],
  unknown: ['?', 'dim'],
}

/** An explanation for people: what its identity rests on, the entry, what comes of it and what to do. */
export function renderExplanation(explanation: PodExplanation, look: Look): string[] {
  const { pod, mode, findings, wanted, entries, differences, verdict, message } = explanation
  const [entry] = entries
  const isShown = wanted !== undefined && verdict !== 'registered'
  return [
    paint(look, 'bold', clean(`Pod ${pod} in ${mode} mode`)),
    ...areas(findings, look),
    ...(wanted === undefined ? [] : section(isShown ? 'the entry that it should have' : 'its entry', wanted, look)),
    ...(wanted === undefined && entry !== undefined ? section('the entry that it has', entry, look) : []),
    ...(differences.length === 0 ? [] : ['', paint(look, 'bold', 'what is to be changed')]),
    ...differences.flatMap((line) => hanging('  ~ ', line, look)),
    '',
    ...wrap(`${verdict}: ${message}`, look.width).map((line) => paint(look, verdictStyles[verdict], line)),
    ...advice(findings).flatMap((line) => hanging('  → ', line, look)),
  ]
}

function areas(findings: readonly Finding[], look: Look): string[] {
  const grouped = Map.groupBy(findings, ({ about }) => about)
  return [...grouped].flatMap(([about, all]) =>
    all.flatMap(({ is, text }, place) => {
      const [mark, style] = marks[is]
      const [first = '', ...rest] = wrap(text, look.width - 15)
      return [
        `  ${(place === 0 ? about : '').padEnd(9)}  ${paint(look, style, mark)} ${first}`,
        ...rest.map((line) => `${' '.repeat(15)}${line}`),
      ]
    }),
  )
}

function section(title: string, entry: EntryText, look: Look): string[] {
  const { spiffeId, parentId, selectors, dnsNames, federatesWith, downstream } = entry
  const fields: readonly (readonly [string, string])[] = [
    ['spiffeId', spiffeId],
    ['parentId', parentId],
    ['selectors', selectors.join(' ')],
    ['dnsNames', dnsNames.join(' ')],
    ['federatesWith', federatesWith.join(' ')],
    ['downstream', downstream ? 'true' : ''],
  ]
  return [
    '',
    paint(look, 'bold', title),
    ...fields.flatMap(([name, text]) => (text === '' ? [] : hanging(`  ${name.padEnd(13)}  `, text, look))),
  ]
}

function advice(findings: readonly Finding[]): readonly string[] {
  return [...new Set(findings.flatMap((finding) => (finding.advice === undefined ? [] : [finding.advice])))]
}

function hanging(start: string, text: string, look: Look): string[] {
  const [first = '', ...rest] = wrap(text, look.width - start.length)
  return [`${start}${first}`, ...rest.map((line) => `${' '.repeat(start.length)}${line}`)]
}
