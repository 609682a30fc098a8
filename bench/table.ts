import type { Figure } from './figure.ts'
import { percentile } from './statistics.ts'

const header = ['', 'n', 'value', 'p95', 'min – max', 'floor', 'ratio', 'target', '']

/** Figures as a table for people, its columns aligned. */
export function renderTable(figures: readonly Figure[]): string {
  const rows = [header, ...figures.map(cellsOf)]
  const widths = header.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => {
          const width = widths[column] ?? 0
          return leftAligned.has(column) ? cell.padEnd(width) : cell.padStart(width)
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

const leftAligned: ReadonlySet<number> = new Set([0, 7, 8])

function cellsOf({ title, unit, value, samples, floor, ratio, target }: Figure): string[] {
  const several = samples.length > 1
  return [
    title,
    String(samples.length),
    withUnit(value, unit),
    several ? formatNumber(percentile(samples, 95)) : '',
    several ? `${formatNumber(Math.min(...samples))} – ${formatNumber(Math.max(...samples))}` : '',
    floor === undefined ? '' : withUnit(floor.value, unit),
    ratio === undefined ? '' : `${ratio.toFixed(2)}x`,
    target?.text ?? '',
    target === undefined ? '' : target.reached ? 'reached' : 'MISSED',
  ]
}

function withUnit(value: number, unit: string): string {
  return unit === '' ? formatNumber(value) : `${formatNumber(value)} ${unit}`
}

/** Three digits that count. Not `toLocaleString`, which would round by the machine's language. */
function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return '–'
  if (value === 0 || Number.isInteger(value)) return String(value)
  const magnitude = Math.floor(Math.log10(Math.abs(value)))
  return value.toFixed(Math.min(3, Math.max(0, 2 - magnitude)))
}
