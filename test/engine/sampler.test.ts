import { describe, expect, it } from 'vitest'
import type { Sampling } from '../../src/core/generation.ts'
import { GREEDY } from '../../src/core/generation.ts'
import { RandomSource } from '../../src/engine/random.ts'
import { describe as describeToken, sample } from '../../src/engine/sampler.ts'
import { Sequence } from '../../src/engine/sequence.ts'

const LOGITS = Float32Array.of(1, 3, 2, -1, 0)

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
    0,
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

  it('reports log-probabilities of the model itself, best first', () => {
    const { logprob } = sample(LOGITS, sequence({ logitBias: { 1: -100 } }, { logprobs: 2 }))
    const expected = softmax([...LOGITS]).map(Math.log)
    expect(logprob!.token).toBe(2)
    expect(logprob!.logprob).toBeCloseTo(expected[2]!, 5)
    expect(logprob!.top.map(({ token }) => token)).toEqual([1, 2])
    expect(logprob!.top[0]!.logprob).toBeCloseTo(expected[1]!, 5)
    expect(describeToken(LOGITS, 4, 1).logprob).toBeCloseTo(expected[4]!, 5)
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
