import { writeFileSync } from 'node:fs'
import { arch, cpus, platform, totalmem } from 'node:os'

/** One promise or figure. `target` and `met` are null where nothing was promised. */
export interface Row {
  readonly name: string
  /** Null when it could not be measured; `note` says why. */
  readonly value: number | null
  readonly unit: string
  readonly target: string | null
  readonly met: boolean | null
  readonly note?: string
}

/** What the figures were measured on. */
export function machine(): string {
  const cores = cpus()
  const memory = Math.round(totalmem() / 2 ** 30)
  return `${cores[0]?.model.trim() ?? 'unknown CPU'}, ${cores.length} cores, ${memory} GiB, ${platform()}/${arch()}, Node ${process.versions.node}`
}

/** Prints the table for people and, when a file is given, writes the convention's JSON (CONTRIBUTING.md, "Measuring"). */
export function report(command: string, rows: readonly Row[], file: string | undefined): void {
  const width = Math.max(...rows.map(({ name }) => name.length))
  for (const { name, value, unit, target, met, note } of rows) {
    const figure = value === null ? '–' : value.toFixed(2)
    const verdict = note ?? (met === null ? '' : met ? 'met' : 'NOT MET')
    console.log(`${name.padEnd(width)}  ${figure.padStart(9)} ${unit.padEnd(8)} ${(target ?? '').padEnd(8)} ${verdict}`)
  }
  console.log(machine())
  if (file !== undefined) writeFileSync(file, renderReport(command, rows))
}

/** The convention's JSON. */
export function renderReport(command: string, rows: readonly Row[]): string {
  return `${JSON.stringify({ command, machine: machine(), rows }, null, 2)}\n`
}
