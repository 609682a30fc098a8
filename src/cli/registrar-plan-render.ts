import type { EntryMaker, EntryText, FieldChange, PlanReport } from '../registrar/plan/plan-report.ts'
import { heldFact } from '../registrar/sync/delete-gate.ts'
import { clean, type Look, paint, plural, type Style, wrap } from '../try/look.ts'

/** A plan for people: what is written, field by field, then what is odd, and at the end what it comes to. */
export function renderPlan(report: PlanReport, look: Look): string[] {
  return [
    paint(look, 'bold', `${report.mode} mode, cluster ${report.cluster} in ${report.trustDomain}`),
    ...field(
      'objects',
      `${plural(report.pods, 'pod')} and ${plural(report.nodes, 'node')}, of ${report.objects}`,
      look,
    ),
    ...field('entries', entriesText(report), look),
    ...spiffeIdLines(report, look),
    ...report.creates.flatMap((create) => [
      ...heading('+', 'green', `create  ${create.object}`, '', look),
      ...entryLines(create, look),
    ]),
    ...report.updates.flatMap(({ object, id, madeBy, spiffeId, fields }) => [
      ...heading('~', 'yellow', `update  ${object}`, `entry ${id}${makerText(madeBy)}`, look),
      ...(fields.some((change) => change.field === 'spiffeId') ? [] : item('spiffeId', spiffeId, look)),
      ...fields.flatMap((change) => changeLines(change, look)),
    ]),
    ...report.deletes.flatMap(({ object, id, madeBy, spiffeId, reason }) => [
      ...heading('-', 'red', `delete  ${object}`, `entry ${id}${makerText(madeBy)}`, look),
      ...item('spiffeId', spiffeId, look),
      ...item('because', reason, look),
    ]),
    ...oddities(report, look),
    '',
    ...summary(report, look),
  ]
}

function entriesText({ entries, owned, foreign, updates, deletes, unchanged }: PlanReport): string {
  if (entries === 'none') return 'none given: as if the SPIRE server had none'
  const isEmpty = owned + foreign + updates.length + deletes.length + unchanged === 0
  if (isEmpty) return `none, of ${entries}`
  return `${owned} of this registrar and ${foreign} of others, which are never touched, of ${entries}`
}

function makerText(maker: EntryMaker): string {
  if (maker === 'this') return ''
  return maker === 'former' ? ', of the registrar before this one' : ', of another registrar'
}

function spiffeIdLines({ spiffeIds }: PlanReport, look: Look): string[] {
  if (spiffeIds.length === 0) return []
  const counts = (['create', 'change', 'delete'] as const).flatMap((change) => {
    const named = spiffeIds.filter((one) => one.change === change).map(({ name }) => name)
    return named.length === 0 ? [] : item(change, some(named), look)
  })
  return ['', paint(look, 'bold', `${plural(spiffeIds.length, 'SpiffeID')} to write first`), ...counts]
}

function heading(mark: string, style: Style, text: string, more: string, look: Look): string[] {
  const line = clean(more === '' ? text : `${text}  (${more})`)
  return ['', `${paint(look, style, mark)} ${paint(look, 'bold', line)}`]
}

/** What is empty is left out. */
function entryLines(entry: EntryText, look: Look): string[] {
  const lists = [
    ['selectors', entry.selectors],
    ['dnsNames', entry.dnsNames],
    ['federatesWith', entry.federatesWith],
  ] as const
  return [
    ...item('spiffeId', entry.spiffeId, look),
    ...item('parentId', entry.parentId, look),
    ...lists.flatMap(([name, values]) => (values.length === 0 ? [] : item(name, values.join(' '), look))),
    ...(entry.downstream ? item('downstream', 'true', look) : []),
  ]
}

function changeLines({ field: name, from, to }: FieldChange, look: Look): string[] {
  if (typeof from !== 'object' || typeof to !== 'object') {
    return [...item(name, String(from), look), ...item('', `→ ${String(to)}`, look)]
  }
  const added = to.filter((one) => !from.includes(one)).map((one) => `+${one}`)
  const removed = from.filter((one) => !to.includes(one)).map((one) => `-${one}`)
  const both = [...added, ...removed]
  // The same DNS names in another order are another common name.
  return item(name, both.length === 0 ? `in the order ${to.join(' ')}` : both.join(' '), look)
}

function oddities({ problems, conflicts, notices, without, warnings }: PlanReport, look: Look): string[] {
  const lines = [
    ...problems.flatMap(({ object, problem, keeps }) =>
      marked('✗', 'red', `${object}: ${problem}${keeps === undefined ? '' : `; it keeps its entry ${keeps}`}`, look),
    ),
    ...conflicts.flatMap(({ object, spiffeId, with: id }) =>
      marked(
        '✗',
        'red',
        `${object}: ${spiffeId} cannot be made: entry ${id} has the same SPIFFE ID, parent and selectors, and is not its own`,
        look,
      ),
    ),
    ...notices.flatMap(({ object, notice }) => marked('!', 'yellow', `${object}: ${notice}`, look)),
    ...byReason(without).flatMap(([reason, objects]) =>
      marked('·', 'dim', `no entry, because ${reason}: ${some(objects)}`, look),
    ),
    ...warnings.flatMap((warning) => marked('!', 'yellow', warning, look)),
  ]
  return lines.length === 0 ? [] : ['', ...lines]
}

function byReason(without: PlanReport['without']): readonly (readonly [reason: string, objects: readonly string[]])[] {
  const grouped = Map.groupBy(without, ({ reason }) => reason)
  return [...grouped].map(([reason, all]) => [reason, all.map(({ object }) => object)])
}

const mostNamed = 5

function some(names: readonly string[]): string {
  const more = names.length - mostNamed
  return names.slice(0, mostNamed).join(', ') + (more > 0 ? ` and ${more} more` : '')
}

function summary(report: PlanReport, look: Look): string[] {
  const { creates, updates, deletes, unchanged, foreign, deleteFuse, toTakeOver, spiffeIds } = report
  const made = [...updates, ...deletes].filter(({ madeBy }) => madeBy === 'other').length
  const spiffe = spiffeIds.length === 0 ? '' : `${plural(spiffeIds.length, 'SpiffeID')} and `
  const text = report.hasChanges
    ? `Would write ${spiffe}${plural(creates.length + updates.length + deletes.length, 'entry').replace('entrys', 'entries')}: ${creates.length} to create, ${updates.length} to update, ${deletes.length} to delete`
    : 'Nothing to do'
  const rest = `${unchanged} as they should be, ${foreign} of others left alone`
  const style = report.hasChanges ? 'yellow' : 'green'
  return [
    ...wrap(`${text}; ${rest}.`, look.width).map((line) => paint(look, style, line)),
    ...(deleteFuse.isHeld
      ? marked(
          '✗',
          'red',
          `${heldFact(deleteFuse.deletes, deleteFuse.entries)}. If they are to go, start the registrar once with --confirm-deletes`,
          look,
        )
      : []),
    ...(toTakeOver > 0
      ? marked(
          '!',
          'yellow',
          `${toTakeOver} entries were made by another registrar, and without leader_election nothing shows whether it still runs: stop it, then start this one with --takeover`,
          look,
        )
      : []),
    ...(made > 0
      ? marked(
          '!',
          'yellow',
          `${made} of these are of another registrar, compared as if they were this one's: a running registrar leaves them as they are and makes its own beside them. ` +
            'Delete them, or stop what makes them, once this one has made its own',
          look,
        )
      : []),
  ]
}

function field(name: string, text: string, look: Look): string[] {
  const [first = '', ...rest] = wrap(text, look.width - 11)
  return [`  ${name.padEnd(7)}  ${first}`, ...rest.map((line) => `           ${line}`)]
}

function item(name: string, text: string, look: Look): string[] {
  const [first = '', ...rest] = wrap(text, look.width - 19)
  return [`    ${name.padEnd(13)}  ${first}`, ...rest.map((line) => `${' '.repeat(19)}${line}`)]
}

function marked(mark: string, style: Style, text: string, look: Look): string[] {
  const [first = '', ...rest] = wrap(text, look.width - 2)
  return [`${paint(look, style, mark)} ${first}`, ...rest.map((line) => `  ${line}`)]
}
