import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Branch, SiteKind } from '../../src/core/branch.ts'
import { Bank } from '../../src/engine/bank.ts'
import type { PackedAdapter } from '../../src/engine/packed-adapter.ts'
import { packAdapter } from '../../src/engine/packed-adapter.ts'
import { tinyInfo } from '../support/tiny-model.ts'

const info = tinyInfo({ layers: 2 })

function branch(layer: number, kind: SiteKind, rank: number, fill: number, bias = false): Branch {
  const [inDim, outDim] = kind === 'mlp_out' ? [info.hidden, info.hidden] : info.linear[kind as 'q_proj']!
  return {
    layer,
    kind,
    rank,
    scale: 2,
    activation: bias ? 'relu' : 'identity',
    down: new Float32Array(rank * inDim).fill(fill),
    up: new Float32Array(rank * outDim).fill(fill),
    a: bias ? new Float32Array(rank).fill(fill) : null,
    c: bias ? new Float32Array(outDim).fill(fill) : null,
  }
}

function lora(id: number, rank: number, layers: readonly number[] = [0, 1]): PackedAdapter {
  const branches = layers.map((layer) => branch(layer, 'q_proj', rank, id))
  return packAdapter({ digest: `d${id}`, branches, gains: [], virtualTokens: null, tokenRows: null }, info)
}

describe('Bank', () => {
  it('lays versions side by side at their true rank, scale folded into up', () => {
    const bank = new Bank(info, 1e6)
    bank.pin(lora(1, 2))
    bank.pin(lora(2, 3))
    const stack = bank.kind('q_proj')!
    expect(stack.segments().map(({ digest, start, rows }) => ({ digest, start, rows }))).toEqual([
      { digest: 'd1', start: 0, rows: 2 },
      { digest: 'd2', start: 2, rows: 3 },
    ])
    const { down, up } = stack.rows(1, 2, 5)
    expect(new Set(down)).toEqual(new Set([2]))
    expect(new Set(up)).toEqual(new Set([4]))
  })

  it('leaves zeros in layers a version does not touch, also where another version was before', () => {
    const one = lora(1, 2)
    const bank = new Bank(info, one.bytes)
    bank.pin(one)
    bank.unpin('d1')
    bank.pin(lora(2, 2, [1]))
    expect(bank.has('d1')).toBe(false)
    expect(new Set(bank.kind('q_proj')!.rows(0, 0, 2).down)).toEqual(new Set([0]))
    expect(new Set(bank.kind('q_proj')!.rows(1, 0, 2).down)).toEqual(new Set([2]))
  })

  it('packs the bias after up as one more row', () => {
    const packed = packAdapter(
      { digest: 'b', branches: [branch(0, 'mlp_out', 2, 3, true)], gains: [], virtualTokens: null, tokenRows: null },
      info,
    )
    const bank = new Bank(info, 1e6)
    bank.pin(packed)
    const { down, up, bias } = bank.kind('mlp_out')!.rows(0, 0, 3)
    expect(packed.kinds.get('mlp_out')).toMatchObject({ activation: 'relu', rows: 3 })
    expect([...bias]).toEqual([3, 3, 1])
    expect(new Set(down.subarray(2 * info.hidden))).toEqual(new Set([0]))
    expect(new Set(up.subarray(2 * info.hidden))).toEqual(new Set([6]))
  })

  it('evicts the least recently used idle version, never a pinned one', () => {
    const size = lora(1, 2).bytes
    const bank = new Bank(info, 2 * size)
    for (const id of [1, 2]) bank.pin(lora(id, 2))
    expect(bank.fits([lora(3, 2)])).toBe(false)
    bank.unpin('d2')
    bank.unpin('d1')
    bank.pin(lora(3, 2))
    expect([bank.has('d1'), bank.has('d2'), bank.has('d3')]).toEqual([true, false, true])
    expect(bank.counters.evictions).toBe(1)
  })

  it('lets go of a version that has nothing but virtual tokens', () => {
    const bank = new Bank(info, 1e6)
    const values = new Float32Array(2 * info.hidden)
    const virtualTokens = { type: 'embeddings', count: 2, values } as const
    const prompt = packAdapter({ digest: 'd9', branches: [], gains: [], virtualTokens, tokenRows: null }, info)
    bank.pin(prompt)
    expect(bank.residents()).toEqual([{ digest: 'd9', bytes: 0, pinned: true }])
    bank.unpin('d9')
    expect(bank.versions).toBe(0)
  })

  it('clears away idle versions that every call would read in vain', () => {
    const bank = new Bank(info, 1e9)
    const ids = Array.from({ length: 20 }, (_, i) => i)
    for (const id of ids) bank.pin(lora(id, 16))
    for (const id of ids.slice(1, -1)) bank.unpin(`d${id}`)
    bank.tidy()
    const segments = bank.kind('q_proj')!.segments()
    expect(segments.map(({ digest, start }) => [digest, start])).toEqual([
      ['d0', 0],
      ['d19', 16],
    ])
    expect(bank.kind('q_proj')!.rows(0, 16, 17).down[0]).toBe(19)
    bank.checkIntegrity()
  })

  it('keeps bytes, pins and every row consistent under random pins, unpins and tidying', () => {
    const adapters = Array.from({ length: 8 }, (_, i) => lora(i + 1, (i % 4) + 1, i % 3 === 0 ? [1] : [0, 1]))
    const budget = 4 * adapters[3]!.bytes
    const action = fc.record({
      type: fc.constantFrom('pin', 'pin', 'unpin', 'tidy', 'forget'),
      index: fc.nat({ max: 7 }),
    })
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
        const bank = new Bank(info, budget)
        const pins = new Map<string, number>()
        for (const { type, index } of actions) {
          const adapter = adapters[index]!
          const held = pins.get(adapter.digest) ?? 0
          if (type === 'pin' && bank.fits([adapter])) {
            const hit = bank.has(adapter.digest)
            expect(bank.pin(adapter)).toBe(hit)
            pins.set(adapter.digest, held + 1)
          }
          if (type === 'unpin' && held > 0) {
            bank.unpin(adapter.digest)
            pins.set(adapter.digest, held - 1)
          }
          if (type === 'forget' && held === 0) bank.forget(adapter.digest)
          if (type === 'tidy') bank.tidy()
          bank.checkIntegrity()
          for (const [digest, count] of pins) if (count > 0) expect(bank.has(digest)).toBe(true)
          const stack = bank.kind('q_proj')
          for (const { digest, start, rows } of stack?.segments() ?? []) {
            const owner = Number(digest.slice(1))
            expect(stack!.rows(1, start, start + rows).down.every((value) => value === owner)).toBe(true)
          }
        }
      }),
      { numRuns: 200 },
    )
  })
})
