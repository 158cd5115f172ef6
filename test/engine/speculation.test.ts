import { describe, expect, it } from 'vitest'
import type { GenerationRequest, Sampling } from '../../src/core/generation.ts'
import { GREEDY } from '../../src/core/generation.ts'
import { Positions } from '../../src/engine/positions.ts'
import { Sequence } from '../../src/engine/sequence.ts'
import { Speculation } from '../../src/engine/speculation.ts'

const ROPE = { inverseFrequencies: new Array<number>(8).fill(1), attentionFactor: 1 }
const ARCHITECTURE = { positionOffset: null, longRope: null, ropes: [ROPE], maxContext: 1000 }
/** A prompt that says the same again and again: five tokens in turn. */
const REPEATING = Int32Array.from({ length: 43 }, (_, i) => 1 + (i % 5))

let nextId = 1

/** A sequence whose prompt was evaluated and whose first token was chosen: the one that repetition makes likely. */
function decoding(changes: Partial<GenerationRequest> = {}): Sequence {
  const fixed = { sampling: GREEDY, maxTokens: 40, stopTokens: [], logprobs: null, promptLogprobs: false }
  const sequence = new Sequence(nextId++, { tokens: REPEATING, mix: [], ...fixed, ...changes }, 0)
  sequence.cached = sequence.promptLength
  sequence.accept(1 + (sequence.promptLength % 5))
  return sequence
}

/** `count` more tokens as repetition makes them likely. */
function goOn(sequence: Sequence, count: number): void {
  for (let i = 0; i < count; i++) {
    sequence.accept(1 + ((sequence.promptLength + sequence.generated.length) % 5))
    sequence.cached++
  }
}

function speculation(most = 8, positions = new Positions(ARCHITECTURE)): Speculation {
  return new Speculation(most, positions)
}

/** Calls in which one more token costs nearly nothing. */
function quick(on: Speculation): Speculation {
  for (let i = 0; i < 100; i++) for (const tokens of [1, 5]) on.observe(tokens, 0.001 + tokens * 0.00001)
  return on
}

describe('Speculation', () => {
  it('drafts for a greedy sequence that repeats itself', () => {
    const drafts = quick(speculation()).draft([decoding()])
    expect(drafts).toEqual([[5, 1, 2, 3, 4, 5, 1, 2]])
  })

  it.each<[string, Speculation, Sequence[]]>([
    ['when switched off', speculation(0), [decoding()]],
    ['for sampled sequences', speculation(), [decoding({ sampling: { ...GREEDY, temperature: 0.5 } })]],
    ['beside sampled sequences', speculation(), [decoding(), decoding({ sampling: { ...GREEDY, temperature: 0.5 } })]],
    ['beside sequences without a draft', speculation(), [decoding(), decoding({ tokens: Int32Array.of(1, 2, 3) })]],
    ['for many rows', speculation(), Array.from({ length: 5 }, () => decoding())],
    ['for the last token', speculation(), [decoding({ maxTokens: 2 })]],
  ])('drafts nothing %s', (_, on, sequences) => {
    expect(quick(on).draft(sequences)).toBeNull()
  })

  it('drafts no more than may still be generated', () => {
    expect(quick(speculation()).draft([decoding({ maxTokens: 5 })])).toEqual([[5, 1, 2]])
  })

  it('still drafts with penalties and bias, which change what the model chooses and not how', () => {
    const sampling: Sampling = { ...GREEDY, repetitionPenalty: 1.5, presencePenalty: 1, logitBias: { 3: 2 } }
    expect(quick(speculation()).draft([decoding({ sampling })])).not.toBeNull()
  })

  it('drafts for several rows only while that is better for each of them than one step', () => {
    const rows = [decoding(), decoding()]
    expect(quick(speculation()).draft(rows)).toHaveLength(2)
    const slow = speculation()
    for (let i = 0; i < 100; i++) for (const tokens of [1, 5]) slow.observe(tokens, tokens * 0.001)
    expect(slow.draft(rows)).toBeNull()
  })

  it('drafts less where a token of a call costs more', () => {
    const [cheap, dear] = [quick(speculation(16)), speculation(16)]
    for (let i = 0; i < 100; i++) for (const tokens of [1, 5]) dear.observe(tokens, 0.001 * (0.4 + 0.6 * tokens))
    const lengths = [cheap, dear].map((on) => on.draft([decoding()])?.[0]!.length ?? 0)
    expect(lengths[1]).toBeLessThan(lengths[0]!)
  })

  it('takes no notice of calls larger than its own', () => {
    const on = quick(speculation())
    for (let i = 0; i < 100; i++) on.observe(16, 10)
    expect(on.draft([decoding()])?.[0]).toHaveLength(8)
  })

  it('crosses no limit of a long rope: all tokens of a call are rotated alike', () => {
    const positions = new Positions({ ...ARCHITECTURE, longRope: { length: 50, rope: ROPE } })
    const on = quick(speculation(8, positions))
    const sequence = decoding()
    const drafted: boolean[] = []
    for (; sequence.kvLength < 53; goOn(sequence, 1)) drafted.push(on.draft([sequence]) !== null)
    // 43 and more tokens are cached; calls of 9 would end with 52 and more. Once the 51st token is fed, all are rotated by the second table.
    expect(drafted).toEqual([false, false, false, false, false, false, false, true, true, true])
  })

  it('remembers answers of the same tenant and mix, and of no other', () => {
    const on = quick(speculation())
    const question = { tokens: Int32Array.of(90, 91, 92, 93), tenant: 'acme', mix: [{ digest: 'a', scale: 1 }] }
    const first = decoding(question)
    on.draft([first])
    goOn(first, 30)
    on.draft([first])
    const draftOf = (changes: Partial<GenerationRequest>): number =>
      on.draft([decoding({ ...question, tokens: Int32Array.of(80, 81, 82, 93), ...changes })])?.[0]!.length ?? 0
    expect(draftOf({})).toBeGreaterThan(0)
    expect(draftOf({ tenant: 'globex' })).toBe(0)
    expect(draftOf({ tenant: undefined })).toBe(0)
    expect(draftOf({ mix: [] })).toBe(0)
    expect(draftOf({ mix: [{ digest: 'a', scale: 0.5 }] })).toBe(0)
    expect(draftOf({ mix: [{ digest: 'b', scale: 1 }] })).toBe(0)
    expect(draftOf({ stack: true })).toBe(0)
  })
})
