import { CommanderError } from 'commander'
import type { ErrorCode } from '../core/errors.ts'
import { TroupeError } from '../core/errors.ts'

/** What to do next, where the message alone may not say it. */
const HINTS: Partial<Record<ErrorCode, string>> = {
  invalid_config: '`troupe serve --help` lists all settings',
  invalid_model: '`troupe doctor --model DIR` checks a model folder',
  device_unavailable: '`troupe doctor` checks addon, processor and memory',
  storage_error: '`troupe doctor` checks store and memory',
}

/** What an error that ended the command is shown as, and the status it exits with. */
export interface Failure {
  /** Null when it was shown already. */
  readonly text: string | null
  readonly exitCode: number
}

/** Errors of input are one line and a hint, with status 2; everything else is a fault with its stack, with status 1. */
export function describeFailure(error: unknown): Failure {
  if (error instanceof CommanderError) return { text: null, exitCode: error.exitCode === 0 ? 0 : 2 }
  if (error instanceof TroupeError) {
    const hint = HINTS[error.code]
    return { text: `troupe: ${error.message}${hint === undefined ? '' : `\n        ${hint}`}`, exitCode: 2 }
  }
  return { text: error instanceof Error ? (error.stack ?? error.message) : String(error), exitCode: 1 }
}
