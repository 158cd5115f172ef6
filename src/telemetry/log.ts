import { pino } from 'pino'
import type { DestinationStream, Logger } from 'pino'

export type { Logger } from 'pino'

export const LOG_LEVELS = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** Paths a key or a secret could stand at. */
const REDACTED = [
  'req.headers.authorization',
  'req.headers["x-api-key"]',
  'headers.authorization',
  'headers["x-api-key"]',
  '*.apiKey',
  '*.keys',
]

/** The process's logger: JSON lines; keys never appear. */
export function createLogger(level: LogLevel, destination?: DestinationStream): Logger {
  const options = { level, base: null, redact: { paths: REDACTED, censor: '[redacted]' } }
  return destination ? pino(options, destination) : pino(options)
}

/** What the log says about one generation request. */
export interface GenerationLine {
  readonly requestId: string
  readonly tenant: string
  readonly task: string | null
  readonly model: string | null
  /** `name@vN*scale` of every member of the mix. */
  readonly mix: readonly string[]
  readonly sequences: number
  readonly promptTokens: number
  readonly completionTokens: number
  readonly queueMs: number
  readonly loadMs: number
  readonly totalMs: number
  readonly status: 'ok' | 'cancelled' | 'error'
  /** Code of the error, when there was one. */
  readonly code?: string
  /** The prompts' texts; only when the operator asked for them. */
  readonly prompts?: readonly string[]
}

/** One line per generation request. Prompts are in it only when the caller puts them there. */
export function logGeneration(log: Logger, line: GenerationLine): void {
  log.info(line, 'generation')
}
