import { describe, expect, it } from 'vitest'
import type { Sampling } from '../../src/core/generation.ts'
import { GREEDY } from '../../src/core/generation.ts'
import { RandomSource } from '../../src/engine/random.ts'
import { MixUse } from '../../src/engine/held-adapters.ts'
import { Sampler } from '../../src/engine/sampler.ts'
import { Sequence } from '../../src/engine/sequence.ts'
import { PLAIN_TOOLS } from '../support/simulated-device.ts'

const LOGITS = Float32Array.of(1, 3, 2, -1, 0)
const sampler = new Sampler(PLAIN_TOOLS)
const sample: Sampler['sample'] = (row, of) => sampler.sample(row, of)

function sequence(
  sampling: Partial<Sampling>,
  options: { prompt?: number[]; logprobs?: number | null } = {},
): Sequence {
  return new Sequence(
    1,
    {
      tokens: Int32Array.from(options.prompt ?? [0]),
      mix: [],
      sampling: { ...GREEDY, ...sampling },
      maxTokens: 8,
      stopTokens: [],
      logprobs: options.logprobs ?? null,
      promptLogprobs: false,
    },
    { now: 0, fingerprint: 'base', use: new MixUse([], () => undefined) },
  )
}

/** How often each token is drawn in 4000 draws, as a share. */
function shares(sampling: Partial<Sampling>): number[] {
  const drawn = sequence({ temperature: 1, seed: 7, ...sampling })
  const counts = new Array<number>(LOGITS.length).fill(0)
  for (let i = 0; i < 4000; i++) counts[sample(LOGITS, drawn).token]!++
  return counts.map((count) => count / 4000)
}

function softmax(logits: readonly number[], temperature = 1): number[] {
  const weights = logits.map((logit) => Math.exp(logit / temperature))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return weights.map((weight) => weight / total)
}

describe('sample', () => {
  it('takes the largest logit at temperature 0', () => {
    expect(sample(LOGITS, sequence({})).token).toBe(1)
  })

  it('draws as often as softmax says', () => {
    const expected = softmax([...LOGITS], 0.7)
    for (const [token, share] of shares({ temperature: 0.7 }).entries())
      expect(Math.abs(share - expected[token]!)).toBeLessThan(0.03)
  })

  it('keeps the k best with top-k', () => {
    const drawn = shares({ topK: 2 })
    expect(drawn[1]! + drawn[2]!).toBe(1)
    expect(drawn[2]).toBeGreaterThan(0.2)
  })

  it('keeps the smallest set whose mass reaches top-p', () => {
    // 0.64 + 0.23 reaches 0.8, so exactly two tokens stay.
    const drawn = shares({ topP: 0.8 })
    expect(drawn[1]! + drawn[2]!).toBe(1)
    expect(shares({ topP: 0.01 })[1]).toBe(1)
  })

  it('keeps what is at least min-p as likely as the best', () => {
    // exp(2 − 3) = 0.37 and exp(1 − 3) = 0.14
    const drawn = shares({ minP: 0.2 })
    expect(drawn[1]! + drawn[2]!).toBe(1)
  })

  it('draws the same with the same seed and differently with another', () => {
    const run = (seed: number): number[] => {
      const drawn = sequence({ temperature: 2, seed })
      return Array.from({ length: 30 }, () => sample(LOGITS, drawn).token)
    }
    expect(run(5)).toEqual(run(5))
    expect(run(5)).not.toEqual(run(6))
  })

  it('applies the repetition penalty to the prompt, the others to the completion', () => {
    expect(sample(LOGITS, sequence({ repetitionPenalty: 2 }, { prompt: [1] })).token).toBe(2)
    const punished = sequence({ presencePenalty: 0.4, frequencyPenalty: 0.4 })
    punished.accept(1)
    expect(sample(LOGITS, punished).token).toBe(1)
    punished.accept(1)
    expect(sample(LOGITS, punished).token).toBe(2)
    expect(sample(LOGITS, sequence({ presencePenalty: 2 }, { prompt: [1] })).token).toBe(1)
  })

  it('adds the bias', () => {
    expect(sample(LOGITS, sequence({ logitBias: { 3: 10 } })).token).toBe(3)
  })

  it('draws from a large vocabulary as often as softmax says, whatever it looks at first', () => {
    const logits = Float32Array.from({ length: 300 }, (_, i) => ((i * 7919) % 300) / 300)
    const drawn = sequence({ temperature: 1, seed: 3 })
    const bins = new Array<number>(4).fill(0)
    for (let i = 0; i < 2000; i++) bins[Math.floor(logits[sample(logits, drawn).token]! * 4)]!++
    // The share of a quarter of the range: exp(0.25) times that of the one below.
    const total = [0, 1, 2, 3].reduce((sum, q) => sum + Math.exp(q / 4), 0)
    for (const [q, count] of bins.entries()) expect(Math.abs(count / 2000 - Math.exp(q / 4) / total)).toBeLessThan(0.04)
  })

  it('never draws what is impossible', () => {
    const logits = Float32Array.of(-Infinity, 0, -Infinity, 0)
    const drawn = sequence({ temperature: 5, seed: 3 })
    const tokens = new Set(Array.from({ length: 200 }, () => sample(logits, drawn).token))
    expect([...tokens].sort()).toEqual([1, 3])
  })

  it.each<[string, Partial<Sampling>]>([
    ['greedily', {}],
    ['by chance', { temperature: 1 }],
  ])('refuses a row that has no numbers, %s', (_, sampling) => {
    const row = new Float32Array(5).fill(NaN)
    expect(() => sample(row, sequence(sampling))).toThrow('logits that are not numbers')
  })

  it('reports log-probabilities of the model itself, best first', () => {
    const { logprob } = sample(LOGITS, sequence({ logitBias: { 1: -100 } }, { logprobs: 2 }))
    const expected = softmax([...LOGITS]).map(Math.log)
    expect(logprob!.token).toBe(2)
    expect(logprob!.logprob).toBeCloseTo(expected[2]!, 5)
    expect(logprob!.top.map(({ token }) => token)).toEqual([1, 2])
    expect(logprob!.top[0]!.logprob).toBeCloseTo(expected[1]!, 5)
    expect(sampler.describe(LOGITS, 4, 1).logprob).toBeCloseTo(expected[4]!, 5)
  })
})

describe('RandomSource', () => {
  it('is uniform', () => {
    const random = new RandomSource(3)
    const bins = new Array<number>(10).fill(0)
    for (let i = 0; i < 10_000; i++) bins[Math.floor(random.next() * 10)]!++
    for (const count of bins) expect(Math.abs(count - 1000)).toBeLessThan(150)
  })
})
