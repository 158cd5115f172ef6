import type { Row } from '../src/bench/report.ts'

/** Prints what was violated: the table has only its number. */
export function violationsRow(name: string, violations: readonly string[]): Row {
  for (const violation of violations) console.error(`${name}: ${violation}`)
  const value = violations.length
  return { name: `${name}: violations`, value, unit: '', target: '= 0', met: value === 0 }
}

/** What a scenario that could not go on says of itself. */
export function brokenOff(name: string, error: unknown): Row {
  return violationsRow(name, [error instanceof Error ? (error.stack ?? error.message) : String(error)])
}
