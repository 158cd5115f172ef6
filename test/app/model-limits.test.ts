import { describe, expect, it } from 'vitest'
import type { ModelInfo } from '../../src/core/model-info.ts'
import { checkKvFits, contextLength, draftLength } from '../../src/app/model-limits.ts'

const info = { name: 'm', maxContext: 4096, layers: 2, kvHeads: 3, headDim: 8 } as ModelInfo
const refused = expect.objectContaining({ code: 'invalid_config' }) as Error

describe('contextLength', () => {
  it('is the model’s up to 2048 unless set, and never more than the model’s', () => {
    expect(contextLength(info, undefined)).toBe(2048)
    expect(contextLength({ ...info, maxContext: 512 }, undefined)).toBe(512)
    expect(contextLength(info, 4096)).toBe(4096)
    expect(() => contextLength(info, 4097)).toThrow(refused)
  })
})

describe('checkKvFits', () => {
  it('counts keys and values of every slot, layer, head and position', () => {
    const bytes = 2 * 2 * 3 * 8 * 4 * 16 * 100
    expect(() => checkKvFits(info, 16, 100, bytes)).not.toThrow()
    expect(() => checkKvFits(info, 16, 100, bytes - 1)).toThrow(refused)
  })
})

describe('draftLength', () => {
  it('is what was asked for, else 8 where nothing is rounded and 0 where activations are', () => {
    expect(draftLength({ ...info, precision: 'f32' }, undefined)).toBe(8)
    expect(draftLength({ ...info, precision: 'int8' }, undefined)).toBe(0)
    expect(draftLength({ ...info, precision: 'int4' }, undefined)).toBe(0)
    expect(draftLength({ ...info, precision: 'int4' }, 4)).toBe(4)
    expect(draftLength({ ...info, precision: 'f32' }, 0)).toBe(0)
  })
})
