import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../../src/core/json.ts'
import type { Rope } from '../../../src/model/architecture.ts'
import { readArchitecture } from '../../../src/model/families/families.ts'
import { expectRefusal } from '../../support/refusal.ts'

/** Frequencies of transformers' `ROPE_INIT_FUNCTIONS`, by test/fixtures/generate/rope_frequencies.py. */
interface Reference {
  readonly sizes: JsonObject
  readonly entries: readonly {
    readonly name: string
    readonly family: 'llama' | 'phi3'
    readonly scaling: JsonObject
    readonly rope_parameters: JsonObject
    /** Of a sequence that is short, and of the longest. */
    readonly ropes: readonly { readonly inverse_frequencies: readonly number[]; readonly attention_factor: number }[]
  }[]
}

const { sizes, entries } = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../fixtures/rope.json'), 'utf8'),
) as Reference

function ropesOf(family: 'llama' | 'phi3', changes: JsonObject): Rope[] {
  const className = family === 'llama' ? 'LlamaForCausalLM' : 'Phi3ForCausalLM'
  const config = { ...sizes, architectures: [className], model_type: family, rms_norm_eps: 1e-5, ...changes }
  const { ropes, longRope } = readArchitecture(config)
  return [...ropes, ...(longRope === null ? [] : [longRope.rope])]
}

function expectReference(found: readonly Rope[], ropes: Reference['entries'][number]['ropes']): void {
  // Dynamic NTK is plain for all lengths that can be served, the longest among them.
  const expected =
    found.length === 1
      ? ropes.map((rope) => [found[0]!, rope] as const)
      : ropes.map((rope, i) => [found[i]!, rope] as const)
  for (const [{ inverseFrequencies, attentionFactor }, reference] of expected) {
    expect(inverseFrequencies).toHaveLength(reference.inverse_frequencies.length)
    inverseFrequencies.forEach((value, i) => expect(value / reference.inverse_frequencies[i]!).toBeCloseTo(1, 5))
    expect(attentionFactor).toBeCloseTo(reference.attention_factor, 6)
  }
}

describe.each(entries)('$name', ({ family, scaling, rope_parameters: parameters, ropes }) => {
  it('is as in transformers, from rope_scaling and from rope_parameters', () => {
    const original = family === 'phi3' ? { original_max_position_embeddings: 1024 } : {}
    expectReference(ropesOf(family, { ...original, rope_scaling: scaling }), ropes)
    expectReference(ropesOf(family, { ...original, rope_theta: null, rope_parameters: parameters }), ropes)
  })
})

describe('refusals', () => {
  const cases: readonly (readonly [JsonObject, string])[] = [
    [{ rope_type: 'longrope', short_factor: [], long_factor: [] }, '"rope_type" is "longrope"'],
    [{ rope_type: 'proportional' }, '"default", "linear", "dynamic", "llama3" or "yarn"'],
    [{ rope_type: 'yarn' }, '"factor" is missing'],
    [{ rope_type: 'yarn', factor: 4, temperature: 2 }, '"temperature"'],
    [
      { rope_type: 'dynamic', factor: 2, original_max_position_embeddings: 1024 },
      '"original_max_position_embeddings" is 1024',
    ],
    [{ rope_type: 'dynamic' }, '"factor" is missing'],
  ]
  it.each(cases)('%j', (scaling, text) => {
    expectRefusal(() => ropesOf('llama', { rope_scaling: scaling }), 'invalid_model', text)
  })

  it('two rotations that contradict each other', () => {
    const yarn = { rope_type: 'yarn', factor: 4, rope_theta: 500_000 }
    const changes = { rope_scaling: { ...yarn, attention_factor: 2 }, rope_parameters: yarn }
    expectRefusal(() => ropesOf('llama', changes), 'invalid_model', '"rope_parameters"')
  })
})
