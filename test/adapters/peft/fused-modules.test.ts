import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { inspectAdapter } from '../../../src/adapters/read.ts'
import type { ModelInfo } from '../../../src/core/model-info.ts'
import { interleavedModule, linearModule } from '../../../src/model/families/modules.ts'
import { temporaryFolder } from '../../support/model-folder.ts'
import { expectRefusal } from '../../support/refusal.ts'
import type { AdapterFixture } from '../../support/tiny-adapters.ts'
import { readTiny, tinyLora, writeAdapter } from '../../support/tiny-adapters.ts'
import { noise } from '../../support/tiny-checkpoint.ts'
import { tinyInfo } from '../../support/tiny-model.ts'

const SIZES = { hidden: 8, heads: 2, kvHeads: 2, headDim: 4, mlp: 16 }
const LINEAR = { q_proj: [8, 8], k_proj: [8, 8], v_proj: [8, 8], o_proj: [8, 8] } as const

/** A base model whose only module is a fused one, one after the other or interleaved by head. */
function fusedInfo(order: 'blocks' | 'interleaved'): ModelInfo {
  const path = 'transformer.h.{i}.attn.c_attn'
  const kinds = ['q_proj', 'k_proj', 'v_proj'] as const
  const options = { transposed: true, biased: true }
  const module =
    order === 'blocks' ? linearModule(path, kinds, SIZES, options) : interleavedModule(path, SIZES, options)
  const names = { basePrefix: 'transformer.', otherModules: [{ path: 'transformer.wpe', kind: null }] }
  return tinyInfo({ kvHeads: 2, linear: LINEAR, modules: [module], ...names })
}

/** A LoRA of rank 2 on the fused module of both layers. */
function fusedLora(changes: object = {}, outputs = 24, prefix = 'transformer.'): AdapterFixture {
  const config = { ...tinyLora().config, target_modules: ['c_attn'], fan_in_fan_out: true, ...changes }
  const tensors = Object.fromEntries(
    [0, 1].flatMap((layer) => {
      const stem = `base_model.model.${prefix}h.${layer}.attn.c_attn`
      return [
        [`${stem}.lora_A.weight`, { shape: [2, 8], values: noise(layer, 16) }],
        [`${stem}.lora_B.weight`, { shape: [outputs, 2], values: noise(9 + layer, outputs * 2) }],
      ]
    }),
  ) as AdapterFixture['tensors']
  return { config, tensors }
}

async function write(fixture: AdapterFixture): Promise<string> {
  return writeAdapter(join(await temporaryFolder(), 'adapter'), fixture)
}

/** Row `r` of `lora_B`, transposed: output by output. */
function column(fixture: AdapterFixture, layer: number, r: number, outputs: readonly number[]): number[] {
  const name = Object.keys(fixture.tensors).find((key) => key.includes(`h.${layer}.`) && key.includes('lora_B'))!
  return outputs.map((output) => fixture.tensors[name]!.values![output * 2 + r]!)
}

describe('a LoRA on a fused module', () => {
  it.each([
    ['blocks', [8, 9, 10, 11, 12, 13, 14, 15]],
    ['interleaved', [4, 5, 6, 7, 16, 17, 18, 19]],
  ] as const)('becomes a branch per linear layer: %s', async (order, keys) => {
    const fixture = fusedLora({ fan_in_fan_out: order === 'blocks' })
    const { weights, description } = readTiny(await write(fixture), fusedInfo(order))
    expect(weights.branches.map(({ layer, kind }) => `${layer} ${kind}`)).toEqual(
      [0, 1].flatMap((layer) => ['q_proj', 'k_proj', 'v_proj'].map((kind) => `${layer} ${kind}`)),
    )
    const [q, k, v] = weights.branches.slice(3)
    expect([...k!.up]).toEqual([...column(fixture, 1, 0, keys), ...column(fixture, 1, 1, keys)])
    expect(k!.down).toBe(q!.down)
    expect(v!.down).toBe(q!.down)
    expect(weights.bytes).toBe(q!.down.buffer.byteLength)
    expect(description.parameters).toBe(2 * 2 * (8 + 24))
  })

  it('also when it was saved from the model without its head, and is listed by module without a base', async () => {
    const dir = await write(fusedLora({}, 24, ''))
    expect(readTiny(dir, fusedInfo('blocks')).weights.branches).toHaveLength(6)
    expect(inspectAdapter(dir).description.sites).toEqual(['layers.0.c_attn', 'layers.1.c_attn'])
  })

  it('is refused with other sizes, on other families, and on learned positions', async () => {
    const info = fusedInfo('blocks')
    const wide = await write(fusedLora({}, 32))
    expectRefusal(() => readTiny(wide, info), 'base_mismatch', 'maps 8 to 24 values')
    const llama = await write(fusedLora())
    expectRefusal(() => readTiny(llama, tinyInfo()), 'base_mismatch', 'transformer.h.0.attn.c_attn')
    const positions = await write(fusedLora({ target_modules: ['c_attn', 'wpe'] }))
    expectRefusal(() => readTiny(positions, info), 'unsupported_adapter', 'selects transformer.wpe')
  })
})

it('a site that the base model does not have is refused', async () => {
  const { q_proj, k_proj, v_proj, o_proj, up_proj, down_proj } = tinyInfo().linear
  const plain = {
    q_proj: q_proj!,
    k_proj: k_proj!,
    v_proj: v_proj!,
    o_proj: o_proj!,
    up_proj: up_proj!,
    down_proj: down_proj!,
  }
  const dir = await write(tinyLora(['gate_proj']))
  expectRefusal(() => readTiny(dir, tinyInfo({ linear: plain })), 'unsupported_adapter', 'layers.0.gate_proj')
})
