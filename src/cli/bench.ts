import { loadFigures } from '../bench/load-figures.ts'
import type { Limits } from '../bench/load-figures.ts'
import { runLoad } from '../bench/load.ts'
import type { LengthRange, LoadPlan, LoadResult } from '../bench/load.ts'
import type { Target } from '../bench/completion-stream.ts'
import { report } from '../bench/report.ts'
import { listModels, matchModels, wordText, wordTokens } from '../bench/server-facts.ts'
import { ZipfRanks } from '../bench/zipf.ts'
import { TroupeError } from '../core/errors.ts'
import { RandomSource } from '../engine/random.ts'
import { ProgressLine } from './progress-line.ts'

/** The flags of `troupe bench` as commander gives them. */
export interface BenchFlags {
  readonly url: string
  readonly key?: string
  readonly models?: string
  readonly zipf: string
  readonly requests: string
  readonly concurrency: string
  readonly promptTokens: string
  readonly maxTokens: string
  readonly firstTokenMs?: string
  readonly interTokenMs?: string
  readonly seed: string
  readonly json?: string
}

/** Sends a load to a running server and prints what its clients saw. Throws `invalid_request` for flags and servers that cannot be used. */
export async function bench(flags: BenchFlags, command: string): Promise<void> {
  const target = readTarget(flags)
  const limits: Limits = {
    firstTokenMs: readLimit('--first-token-ms', flags.firstTokenMs),
    interTokenMs: readLimit('--inter-token-ms', flags.interTokenMs),
  }
  const plan = await planLoad(target, flags)
  const progress = new ProgressLine('requests', process.stderr, () => performance.now(), String)
  progress.update(0, plan.requests, 'starting')
  const result = await runLoad(target, plan, (done, failed) =>
    progress.update(done, plan.requests, `${failed} failed`),
  ).finally(() => progress.finish())
  tellFailures(result)
  report(command, loadFigures(result, limits), flags.json)
}

async function planLoad(target: Target, flags: BenchFlags): Promise<LoadPlan> {
  const source = new RandomSource(readNumber('--seed', flags.seed, { least: 0, whole: true }))
  const random = (): number => source.next()
  const exponent = readNumber('--zipf', flags.zipf, { least: 0 })
  const requests = readNumber('--requests', flags.requests, { least: 1, whole: true })
  const concurrency = readNumber('--concurrency', flags.concurrency, { least: 1, whole: true })
  const promptTokens = readRange('--prompt-tokens', flags.promptTokens)
  const maxTokens = readRange('--max-tokens', flags.maxTokens)

  const known = await listModels(target)
  const models = matchModels(flags.models?.split(',') ?? known.slice(0, 1), known)
  if (models.length === 0) throw wrong('--models', 'the server lists no models: name what it should be asked for')
  const ranks = new ZipfRanks(models.length, exponent, random)
  const tokens = await wordTokens(target)
  if (tokens === null) console.error('the server has no /v1/tokenize: prompt lengths are in words')
  const pick = (from: readonly number[]): number => from[Math.floor(random() * from.length)]!
  return {
    ...{ requests, concurrency, promptTokens, maxTokens, random },
    nextModel: () => models[ranks.draw()]!,
    nextPrompt: (length) => (tokens === null ? wordText(length, random) : Array.from({ length }, () => pick(tokens))),
  }
}

/** The reasons of failed requests, most frequent first. */
function tellFailures({ outcomes }: LoadResult): void {
  const counts = new Map<string, number>()
  for (const outcome of outcomes) {
    if (!outcome.ok) counts.set(outcome.reason, (counts.get(outcome.reason) ?? 0) + 1)
  }
  const sorted = [...counts].sort(([, a], [, b]) => b - a)
  for (const [reason, count] of sorted) console.error(`${count} × ${reason}`)
}

function readTarget({ url, key }: BenchFlags): Target {
  const parsed = URL.canParse(url) ? new URL(url) : null
  if (parsed?.protocol !== 'http:' && parsed?.protocol !== 'https:')
    throw wrong('--url', `takes an address like http://127.0.0.1:8080, not ${url}`)
  return { url: parsed.origin, ...(key !== undefined && { key }) }
}

/** `64`, or `32-128` for any length between. */
function readRange(flag: string, text: string): LengthRange {
  const [least, most = least] = text.split('-').map(Number)
  const valid = /^\d+(-\d+)?$/.test(text) && least !== undefined && most !== undefined && least >= 1 && most >= least
  if (!valid) throw wrong(flag, `takes a number of tokens, or two like 32-128, not ${text}`)
  return { least, most }
}

function readLimit(flag: string, text: string | undefined): number | null {
  return text === undefined ? null : readNumber(flag, text, { least: 0 })
}

function readNumber(flag: string, text: string, { least, whole = false }: { least: number; whole?: boolean }): number {
  const number = text.trim() === '' ? NaN : Number(text)
  if (Number.isFinite(number) && number >= least && (!whole || Number.isSafeInteger(number))) return number
  throw wrong(flag, `takes a ${whole ? 'whole ' : ''}number from ${least}, not ${text}`)
}

function wrong(flag: string, message: string): TroupeError {
  return new TroupeError('invalid_request', `${flag} ${message}`, { param: flag })
}
