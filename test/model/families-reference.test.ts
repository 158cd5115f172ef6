import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readAdapter } from '../../src/adapters/read.ts'
import { GREEDY } from '../../src/core/generation.ts'
import type { TokenLogprob } from '../../src/core/generation.ts'
import { Engine } from '../../src/engine/engine.ts'
import type { Precision } from '../../src/core/model-info.ts'
import { CheckpointWeights } from '../../src/model/base-weights.ts'
import { prepareModel } from '../../src/model/prepare.ts'
import { blocksOf, relativeError, rowsOf } from '../support/prepared-rows.ts'
import { expectRefusal } from '../support/refusal.ts'

/** Prompt log-probabilities and greedy tokens of every family equal those of transformers, peft and adapters. */

interface Prompt {
  readonly tokens: readonly number[]
  readonly prompt_logprobs: readonly (number | null)[]
  readonly greedy: readonly number[]
}

interface Case {
  readonly name: string
  readonly mix: readonly { readonly adapter: string; readonly scale: number }[]
  readonly prompts: readonly Prompt[]
}

const FIXTURES = join(import.meta.dirname, '../fixtures/conformance')
const FAMILIES = readdirSync(FIXTURES).filter((name) =>
  ['expected.json', 'model'].every((part) => existsSync(join(FIXTURES, name, part))),
)
/** Adapters that must be refused: the layers of these families give bottleneck modules no place that a branch could take. */
const REFUSED: Readonly<Record<string, readonly string[]>> = { gemma2: ['bn', 'bn-seq'], gemma3: ['bn', 'bn-seq'] }
const TOLERANCE = 1e-3

const cacheDir = mkdtempSync(join(tmpdir(), 'troupe-families-'))
afterAll(() => rmSync(cacheDir, { recursive: true }))

function casesOf(family: string): Case[] {
  const text = readFileSync(join(FIXTURES, family, 'expected.json'), 'utf8')
  return (JSON.parse(text) as { cases: Case[] }).cases
}

async function start(family: string, precision: Precision): Promise<Engine> {
  const modelDir = join(FIXTURES, family, 'model')
  const { dir } = await prepareModel({ modelDir, precision, cacheDir })
  // Chunks are shorter than most prompts, and than the sliding windows of some.
  const sizes = {
    maxBatch: 8,
    maxContext: 96,
    stepTokens: 32,
    kvPages: 64,
    kvFormat: 'f32',
    adapterFormat: 'f32',
  } as const
  return Engine.start({ preparedDir: dir, device: 'cpu', threads: 1, speculation: 8, ...sizes })
}

/** Digests of the adapters by name; those that must be refused are checked to be. */
async function holdAdapters(engine: Engine, family: string): Promise<Map<string, string>> {
  const digests = new Map<string, string>()
  const root = join(FIXTURES, family, 'adapters')
  const base = new CheckpointWeights(join(FIXTURES, family, 'model'))
  for (const name of readdirSync(root)) {
    const read = (): ReturnType<typeof readAdapter> => readAdapter(join(root, name), engine.info, base)
    if (REFUSED[family]?.includes(name)) {
      expectRefusal(() => read(), 'unsupported_adapter', 'have no place for it')
      continue
    }
    const { weights } = read()
    await engine.hold(weights)
    digests.set(name, weights.digest)
  }
  base.close()
  return digests
}

interface Answer {
  readonly logprobs: readonly (TokenLogprob | null)[]
  readonly tokens: readonly number[]
}

async function generate(
  engine: Engine,
  prompt: readonly number[],
  mix: readonly { digest: string; scale: number }[],
  maxTokens: number,
): Promise<Answer> {
  const request = { tokens: Int32Array.from(prompt), mix, sampling: GREEDY, maxTokens, stopTokens: [] }
  let logprobs: readonly (TokenLogprob | null)[] = []
  const tokens: number[] = []
  for await (const event of engine.generate({ ...request, logprobs: 0, promptLogprobs: true })) {
    if (event.type === 'prompt') logprobs = event.logprobs
    if (event.type === 'token') tokens.push(event.token)
    if (event.type === 'finish') expect(event).toEqual({ type: 'finish', reason: 'length' })
  }
  return { logprobs, tokens }
}

function largestDifference(found: Answer['logprobs'], expected: Prompt['prompt_logprobs']): number {
  expect(found).toHaveLength(expected.length)
  const differences = expected.map((value, i) => (value === null ? 0 : Math.abs(value - (found[i]?.logprob ?? NaN))))
  return Math.max(...differences)
}

describe.each(FAMILIES)('%s', (family) => {
  it('answers like the reference, all cases in one mixed batch', async () => {
    const engine = await start(family, 'f32')
    try {
      const digests = await holdAdapters(engine, family)
      const cases = casesOf(family).filter(({ mix }) => mix.every(({ adapter }) => digests.has(adapter)))
      expect(cases.length).toBeGreaterThanOrEqual(3)
      const runs = cases.flatMap(({ name, mix, prompts }) =>
        prompts.map(async (prompt) => {
          const entries = mix.map(({ adapter, scale }) => ({ digest: digests.get(adapter)!, scale }))
          const answer = await generate(engine, prompt.tokens, entries, prompt.greedy.length)
          expect(largestDifference(answer.logprobs, prompt.prompt_logprobs), name).toBeLessThan(TOLERANCE)
          expect(answer.tokens, name).toEqual(prompt.greedy)
        }),
      )
      await Promise.all(runs)
    } finally {
      await engine.stop()
    }
  })

  it.each(['bf16', 'int8', 'int4'] as const)('runs in %s', async (precision) => {
    const engine = await start(family, precision)
    try {
      const { tokens } = casesOf(family)[0]!.prompts.at(-1)!
      const answer = await generate(engine, tokens, [], 8)
      expect(answer.tokens).toHaveLength(8)
      expect(answer.logprobs.slice(1).every((item) => item !== null && Number.isFinite(item.logprob))).toBe(true)
    } finally {
      await engine.stop()
    }
  })

  // Models of random weights turn the rounding into quite other answers, so the weights themselves are compared.
  it.each([
    { precision: 'bf16', tolerance: 0.002 },
    { precision: 'int8', tolerance: 0.006 },
    { precision: 'int4', tolerance: 0.085 },
  ] as const)('has the same linear layers in $precision as in f32, but for the rounding', async (setting) => {
    const { precision, tolerance } = setting
    const modelDir = join(FIXTURES, family, 'model')
    const f32 = await prepareModel({ modelDir, precision: 'f32', cacheDir })
    const rounded = await prepareModel({ modelDir, precision, cacheDir })
    const blocks = blocksOf(rounded)
    expect(blocks.length).toBe(4 * rounded.manifest.info.layers + 1)
    for (const block of blocks)
      expect(relativeError(rowsOf(rounded, block).rows, rowsOf(f32, block).rows), block).toBeLessThan(tolerance)
  })
})
