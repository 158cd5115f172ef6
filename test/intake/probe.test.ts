import { describe, expect, it } from 'vitest'
import type { AdapterWeights } from '../../src/core/branch.ts'
import type { GenerationRequest } from '../../src/core/generation.ts'
import { compare, probe, probePrompt } from '../../src/intake/probe.ts'
import { fakeWeights } from '../support/fake-adapter.ts'
import { FakeHost } from '../support/fake-host.ts'
import { codeOf, messageOf } from '../support/rooms.ts'

describe('probe', () => {
  it('measures how far an adapter moves the answers', async () => {
    const host = new FakeHost()
    const weights = fakeWeights('sha256:a', 0.25, 100)
    host.hold(weights)
    const { result } = await probe(host, weights)
    expect(result.maxDifference).toBeCloseTo(0.25, 6)
    expect(result.kl).toBeGreaterThan(0)
  })

  it.each([
    [0, 'adapter_has_no_effect'],
    [1e-7, 'adapter_has_no_effect'],
    [NaN, 'invalid_adapter'],
    [Infinity, 'invalid_adapter'],
    [1e-3, 'none'],
  ])('judges an effect of %s as %s', async (effect, code) => {
    const host = new FakeHost()
    const weights = fakeWeights('sha256:a', effect, 100)
    host.hold(weights)
    expect(await codeOf(() => probe(host, weights))).toBe(code)
  })

  it('asks less where virtual tokens leave little room, and refuses where they leave none', async () => {
    const host = new FakeHost()
    const asked: number[] = []
    const generate = host.generate.bind(host)
    host.generate = (request: GenerationRequest) => {
      asked.push(request.tokens.length)
      return generate(request)
    }
    const withTokens = (count: number): AdapterWeights => {
      const virtualTokens = { type: 'embeddings', count, values: new Float32Array(count * 8) } as const
      return { ...fakeWeights('sha256:a', 1, 100), virtualTokens }
    }
    host.hold(withTokens(54))
    await probe(host, withTokens(54))
    expect(asked).toEqual([10, 10])
    expect(await messageOf(() => probe(host, withTokens(63)))).toContain('63 virtual tokens leave no room')
  })

  it('passes on why the engine could not run', async () => {
    const host = new FakeHost()
    host.failure = 'the bank is full'
    expect(await messageOf(() => probe(host, fakeWeights('sha256:a', 1, 100)))).toContain('the bank is full')
  })

  it('estimates the divergence of known distributions from below', () => {
    const position = (
      p: readonly number[],
    ): { token: number; logprob: number; top: { token: number; logprob: number }[] } => {
      const top = p.map((probability, token) => ({ token, logprob: Math.log(probability) }))
      return { token: 0, logprob: top[0]?.logprob ?? 0, top }
    }
    const [p, q] = [
      [0.5, 0.3],
      [0.2, 0.6],
    ]
    // The rest is 0.2 on both sides.
    const exact = 0.5 * Math.log(0.5 / 0.2) + 0.3 * Math.log(0.3 / 0.6)
    expect(compare([position(p)], [position(q)]).kl).toBeCloseTo(exact, 12)
    expect(compare([position([0.5, 0.3])], [position([0.5, 0.3])])).toEqual({ maxDifference: 0, kl: 0 })
  })

  it('always asks the same, within the vocabulary', () => {
    const prompt = probePrompt(100, 24)
    expect(prompt).toEqual(probePrompt(100, 24))
    expect(new Set(prompt).size).toBeGreaterThan(12)
    expect([...probePrompt(7, 500)].every((token) => token >= 0 && token < 7)).toBe(true)
  })
})
