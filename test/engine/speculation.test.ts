import { describe, expect, it } from 'vitest'
import type { GenerationRequest, Sampling } from '../../src/core/generation.ts'
import { GREEDY } from '../../src/core/generation.ts'
import { MixUse } from '../../src/engine/held-adapters.ts'
import { Sequence } from '../../src/engine/sequence.ts'
import { Speculation, chooseDrafts } from '../../src/engine/speculation.ts'
import { requestOf } from '../support/loop-driver.ts'

/** A prompt that says the same again and again: five tokens in turn. */
const REPEATING = Int32Array.from({ length: 43 }, (_, i) => 1 + (i % 5))

/** Steps that take `one` for a token and `more` for each further one. */
const costs = (one: number, more: number): { estimate: (tokens: number) => number } => ({
  estimate: (tokens) => one + more * (tokens - 1),
})
const CHEAP = costs(0.01, 0.0001)
const PROPORTIONAL = costs(0.01, 0.01)

let nextId = 1

/** A sequence whose prompt was evaluated and whose first token was chosen: the one that repetition makes likely. */
function decoding(changes: Partial<GenerationRequest> = {}): Sequence {
  const request = requestOf({ tokens: REPEATING, maxTokens: 40, ...changes })
  const use = new MixUse([], () => undefined)
  const sequence = new Sequence(nextId++, request, { now: 0, fingerprint: 'base', use })
  sequence.cached = sequence.promptEnd
  sequence.accept(1 + (sequence.promptEnd % 5))
  return sequence
}

/** `count` more tokens as repetition makes them likely. */
function goOn(sequence: Sequence, count: number): void {
  for (let i = 0; i < count; i++) {
    sequence.accept(1 + (sequence.known % 5))
    sequence.cached++
  }
}

const ONE_TABLE = (): number => 0

function speculation(
  most = 8,
  stepCosts: typeof CHEAP = CHEAP,
  ropeTable: (tokens: number) => number = ONE_TABLE,
): Speculation {
  return new Speculation(most, ropeTable, stepCosts)
}

const draftsOf = (on: Speculation, rows: readonly Sequence[], room = 100): (readonly number[] | undefined)[] => {
  const drafts = on.draft(rows, room)
  return rows.map((row) => drafts.get(row))
}

describe('Speculation', () => {
  it('drafts for a greedy sequence that repeats itself', () => {
    expect(draftsOf(speculation(), [decoding()])).toEqual([[5, 1, 2, 3, 4, 5, 1, 2]])
  })

  it.each<[string, Speculation, Sequence]>([
    ['when switched off', speculation(0), decoding()],
    ['for sampled sequences', speculation(), decoding({ sampling: { ...GREEDY, temperature: 0.5 } })],
    ['where nothing was said before', speculation(), decoding({ tokens: Int32Array.of(11, 12, 13) })],
    ['for the last token', speculation(), decoding({ maxTokens: 2 })],
    ['where every token costs as much as a step', speculation(8, PROPORTIONAL), decoding()],
  ])('drafts nothing %s', (_, on, sequence) => {
    expect(draftsOf(on, [sequence])).toEqual([undefined])
  })

  it('drafts for some rows of many, beside those that have nothing to draft', () => {
    const sampled = decoding({ sampling: { ...GREEDY, temperature: 0.5 } })
    const rows = [decoding(), sampled, ...Array.from({ length: 14 }, () => decoding())]
    const drafts = draftsOf(speculation(), rows)
    expect(drafts[1]).toBeUndefined()
    expect(drafts.filter((draft) => draft !== undefined)).toHaveLength(15)
  })

  it('drafts no more than may still be generated, and no more than there is room for', () => {
    expect(draftsOf(speculation(), [decoding({ maxTokens: 5 })])).toEqual([[5, 1, 2]])
    expect(draftsOf(speculation(), [decoding(), decoding()], 3).flat()).toHaveLength(3)
    expect(draftsOf(speculation(), [decoding()], 0)).toEqual([undefined])
  })

  it('still drafts with penalties and bias, which change what the model chooses and not how', () => {
    const sampling: Sampling = { ...GREEDY, repetitionPenalty: 1.5, presencePenalty: 1, logitBias: { 3: 2 } }
    expect(draftsOf(speculation(), [decoding({ sampling })])[0]).toHaveLength(8)
  })

  it('crosses no limit of a long rope: all tokens of a step are rotated alike', () => {
    const on = speculation(8, CHEAP, (tokens) => (tokens > 50 ? 1 : 0))
    const sequence = decoding()
    const drafted: boolean[] = []
    for (; sequence.known < 54; goOn(sequence, 1)) drafted.push(on.draft([sequence], 100).size > 0)
    // 44 tokens are known at first; steps with 8 more would end with 52 and more.
    expect(drafted).toEqual([false, false, false, false, false, false, false, true, true, true])
  })

  it('remembers answers of the same tenant and mix, and of no other', () => {
    const on = speculation()
    const question = { tokens: Int32Array.of(30, 31, 32, 33), tenant: 'acme', mix: [{ digest: 'a', scale: 1 }] }
    const first = decoding(question)
    on.draft([first], 100)
    goOn(first, 30)
    on.draft([first], 100)
    const draftOf = (changes: Partial<GenerationRequest>): number =>
      draftsOf(on, [decoding({ ...question, tokens: Int32Array.of(20, 21, 22, 33), ...changes })])[0]?.length ?? 0
    expect(draftOf({})).toBeGreaterThan(0)
    expect(draftOf({ tenant: 'globex' })).toBe(0)
    expect(draftOf({ tenant: undefined })).toBe(0)
    expect(draftOf({ mix: [] })).toBe(0)
    expect(draftOf({ mix: [{ digest: 'a', scale: 0.5 }] })).toBe(0)
    expect(draftOf({ mix: [{ digest: 'b', scale: 1 }] })).toBe(0)
    expect(draftOf({ stack: true })).toBe(0)
  })
})

describe('chooseDrafts', () => {
  const sure = [0.95, 0.9, 0.85, 0.8]

  it('takes the likeliest guesses of all rows while the step gives more for its time', () => {
    // A further token costs a fifth of a step: it must come with a chance of more than about that.
    expect(chooseDrafts(1, [[0.9, 0.8, 0.1, 0.05]], 9, costs(0.01, 0.002))).toEqual([2])
    expect(chooseDrafts(2, [sure, [0.5, 0.01]], 9, costs(0.01, 0.002))).toEqual([4, 1])
  })

  it('takes fewer where tokens cost more', () => {
    const lengths = [0.0001, 0.003, 0.006, 0.0099].map(
      (more) => chooseDrafts(1, [[0.9, 0.7, 0.4, 0.2]], 9, costs(0.01, more))[0]!,
    )
    expect(lengths).toEqual([...lengths].sort((a, b) => b - a))
    expect([lengths[0], lengths.at(-1)]).toEqual([4, 0])
  })

  it('looks beyond a stair in the costs', () => {
    const stair = { estimate: (tokens: number): number => (tokens <= 1 ? 0.01 : 0.013) }
    expect(chooseDrafts(1, [[0.25, 0.2, 0.2]], 9, stair)).toEqual([3])
  })

  it('holds rows without guesses up by half a step at most', () => {
    const steep = costs(0.01, 0.0008)
    const withOthers = chooseDrafts(
      8,
      Array.from({ length: 7 }, () => sure),
      99,
      steep,
    )
    const total = withOthers.reduce((sum, length) => sum + length, 0)
    expect(steep.estimate(8 + total)).toBeLessThanOrEqual(1.5 * steep.estimate(8))
    expect(total).toBeGreaterThan(0)
    expect(
      chooseDrafts(
        7,
        Array.from({ length: 7 }, () => sure),
        99,
        steep,
      ),
    ).toEqual([4, 4, 4, 4, 4, 4, 4])
  })

  it('drafts nothing before anything was measured', () => {
    expect(chooseDrafts(1, [sure], 9, { estimate: () => null })).toEqual([0])
  })
})
