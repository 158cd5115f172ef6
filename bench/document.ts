import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { Row } from '../src/bench/report.ts'
import { machine } from '../src/bench/report.ts'

/** Puts the figures of a whole run into the document, between the two marks of its precision; the rest is people's. */
export function writeDocument(path: string, precision: string, command: string, rows: readonly Row[]): void {
  const [begin, end] = [`<!-- ${precision}: written by \`npm run bench\` -->`, `<!-- end of ${precision} -->`]
  const text = existsSync(path) ? readFileSync(path, 'utf8') : ''
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${path} must hold the lines ${begin} and ${end}`)
  const figures = renderFigures(command, rows)
  writeFileSync(path, `${text.slice(0, from)}${begin}\n\n${figures}\n${text.slice(to)}`)
}

function renderFigures(command: string, rows: readonly Row[]): string {
  const isFigure = ({ target, value }: Row): boolean => target === null && value !== null
  const promised = rows.filter((row) => !isFigure(row))
  const others = rows.filter(isFigure)
  return [
    `\`${command}\`, ${new Date().toISOString().slice(0, 10)}, commit ${commit()}, ${machine()}`,
    '',
    ...table(['measure', 'value', 'target', ''], promised.map(promisedCells)),
    '',
    ...table(
      ['figure', 'value'],
      others.map((row) => [row.name, valueOf(row)]),
    ),
    '',
  ].join('\n')
}

function promisedCells(row: Row): string[] {
  const verdict = row.note ?? (row.met ? 'met' : '**not met**')
  return [row.name, valueOf(row), `${row.target ?? ''} ${row.unit}`.trim(), verdict]
}

function valueOf({ value, unit }: Row): string {
  return value === null ? '–' : `${Number(value.toPrecision(3))} ${unit}`.trim()
}

/** Rows of a Markdown table with columns of equal width, as the formatter wants them. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', '\\|')))
  const widths = head.map((_, column) => Math.max(3, ...cells.map((row) => row[column]!.length)))
  const line = (row: readonly string[]): string => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`
  return [line(cells[0]!), line(widths.map((width) => '-'.repeat(width))), ...cells.slice(1).map(line)]
}

/** The commit that was measured, with a `+` when files differ from it. */
function commit(): string {
  const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim()
  return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain') === '' ? '' : '+'}`
}
