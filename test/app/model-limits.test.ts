import { describe, expect, it } from 'vitest'
import type { ModelInfo } from '../../src/core/model-info.ts'
import { adapterFormat, contextLength, planKv, threadCount } from '../../src/app/model-limits.ts'

const info = { name: 'm', precision: 'f32', maxContext: 4096, layers: 2, kvHeads: 3, headDim: 8 } as ModelInfo
const refused = expect.objectContaining({ code: 'invalid_config' }) as Error

describe('contextLength', () => {
  it('is the model’s up to 2048 unless set, and never more than the model’s', () => {
    expect(contextLength(info, undefined)).toBe(2048)
    expect(contextLength({ ...info, maxContext: 512 }, undefined)).toBe(512)
    expect(contextLength(info, 4096)).toBe(4096)
    expect(() => contextLength(info, 4097)).toThrow(refused)
  })
})

describe('planKv', () => {
  const settings = { kvBytes: 2 ** 20, kvPrecision: 'auto', maxBatch: 100 } as const
  /** Keys and values of 16 tokens in all layers and heads. */
  const pageBytes = 2 * 2 * 3 * 8 * 4 * 16

  it('counts keys and values of every layer and head, in pages', () => {
    expect(planKv(info, settings, 100)).toEqual({ format: 'f32', pages: Math.floor(2 ** 20 / pageBytes) })
    expect(planKv(info, { ...settings, kvPrecision: 'bf16' }, 100)).toEqual({
      format: 'bf16',
      pages: Math.floor((2 * 2 ** 20) / pageBytes),
    })
  })

  it('rounds them where the model is rounded', () => {
    for (const precision of ['bf16', 'int8', 'int4'] as const)
      expect(planKv({ ...info, precision }, settings, 100).format).toBe('bf16')
  })

  it('takes no more pages than all sequences can use', () => {
    expect(planKv(info, { ...settings, maxBatch: 2 }, 100).pages).toBe(2 * 7)
  })

  it('refuses less than one sequence needs, with the numbers', () => {
    const tight = { ...settings, kvBytes: 6 * pageBytes + 5 }
    expect(planKv(info, tight, 96).pages).toBe(6)
    expect(() => planKv(info, tight, 97)).toThrow(refused)
    expect(() => planKv(info, tight, 97)).toThrow(
      /holds the keys and values of 96 tokens.* may have 97 .*raise kvBytes or lower maxContext/,
    )
  })
})

describe('adapterFormat and threadCount', () => {
  it('go by the base model and the machine where nothing was asked for', () => {
    expect(adapterFormat(info, 'auto')).toBe('f32')
    expect(adapterFormat({ ...info, precision: 'int4' }, 'auto')).toBe('bf16')
    expect(adapterFormat({ ...info, precision: 'int4' }, 'f32')).toBe('f32')
    expect(threadCount(3)).toBe(3)
    expect(threadCount(0)).toBeGreaterThan(0)
  })
})
