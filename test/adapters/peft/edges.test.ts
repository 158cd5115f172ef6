import { describe, expect, it } from 'vitest'
import { EDGE_KINDS } from '../../../src/core/branch.ts'
import { baseOf, matrixOf } from '../../support/linear-reference.ts'
import type { AdapterFixture } from '../../support/tiny-adapters.ts'
import { expectRefused, readFixture, tinyLora } from '../../support/tiny-adapters.ts'
import { noise } from '../../support/tiny-checkpoint.ts'
import { tinyInfo } from '../../support/tiny-model.ts'

const EMBEDDING = 'base_model.model.model.embed_tokens'
const HEAD = 'base_model.model.lm_head'

/** A LoRA on a projection, the embedding and the head. */
function onEdges(config: object = {}): AdapterFixture {
  const { tensors, config: own } = tinyLora(['q_proj'])
  tensors[`${EMBEDDING}.lora_embedding_A`] = { shape: [2, 32], values: noise(71, 64) }
  tensors[`${EMBEDDING}.lora_embedding_B`] = { shape: [8, 2], values: noise(72, 16) }
  tensors[`${HEAD}.lora_A.weight`] = { shape: [2, 8], values: noise(73, 16) }
  tensors[`${HEAD}.lora_B.weight`] = { shape: [32, 2], values: noise(74, 64) }
  return { config: { ...own, target_modules: ['embed_tokens', 'lm_head', 'q_proj'], ...config }, tensors }
}

function copyOf(kind: 'embed_tokens' | 'lm_head'): { shape: number[]; values: number[] } {
  return { shape: [32, 8], values: baseOf(0, kind).weight.flat() }
}

describe('a LoRA on the embedding and the head', () => {
  it('is a branch from tokens to the stream, and one from the stream to logits', async () => {
    const fixture = onEdges()
    const { weights, description } = await readFixture(fixture)
    const [embedding, head] = EDGE_KINDS.map((kind) => weights.branches.find((branch) => branch.kind === kind)!)
    expect([...embedding!.down]).toEqual(matrixOf(fixture.tensors, `${EMBEDDING}.lora_embedding_A`).flat())
    const B = matrixOf(fixture.tensors, `${EMBEDDING}.lora_embedding_B`)
    expect([...embedding!.up]).toEqual([0, 1].flatMap((r) => B.map((row) => row[r])))
    expect([...head!.down]).toEqual(matrixOf(fixture.tensors, `${HEAD}.lora_A.weight`).flat())
    expect(head!.up).toHaveLength(64)
    expect(description.sites).toEqual(['lm_head', 'embed_tokens', 'layers.0.q_proj', 'layers.1.q_proj'])
  })

  it('is refused where the base model changes what they give', async () => {
    const scaled = tinyInfo({ edges: ['lm_head'] })
    await expectRefused(onEdges(), 'unsupported_adapter', 'embed_tokens', scaled)
    await expectRefused(onEdges({ lora_bias: true }), 'invalid_adapter', 'no lora_B.bias beside it')
    const biased = onEdges({ lora_bias: true, target_modules: ['lm_head'] })
    for (const name of Object.keys(biased.tensors)) if (!name.startsWith(HEAD)) delete biased.tensors[name]
    biased.tensors[`${HEAD}.lora_B.bias`] = { shape: [32] }
    await expectRefused(biased, 'unsupported_adapter', '"lora_bias"')
  })
})

describe('copies of the base model in the file', () => {
  it.each([
    [`${EMBEDDING}.base_layer.weight`, 'embed_tokens'],
    [`${EMBEDDING}.weight`, 'embed_tokens'],
    [`${HEAD}.weight`, 'lm_head'],
  ] as const)('%s changes nothing', async (name, kind) => {
    const fixture = onEdges()
    fixture.tensors[name] = copyOf(kind)
    expect((await readFixture(fixture)).weights.branches).toEqual((await readFixture(onEdges())).weights.branches)
  })

  it('of other modules are refused', async () => {
    const norm = onEdges()
    norm.tensors['base_model.model.model.norm.weight'] = { shape: [8] }
    await expectRefused(norm, 'unsupported_adapter', 'modules_to_save')
  })
})

describe('a LoRA with a bias of its own', () => {
  it('adds it with the scale', async () => {
    const fixture = tinyLora(['v_proj'])
    fixture.config['lora_bias'] = true
    for (const layer of [0, 1]) {
      const name = `base_model.model.model.layers.${layer}.self_attn.v_proj.lora_B.bias`
      fixture.tensors[name] = { shape: [4], values: [1, 2, 3, 4 + layer] }
    }
    const { weights, description } = await readFixture(fixture)
    expect(weights.branches.map(({ c, scale }) => [[...c!], scale])).toEqual([
      [[1, 2, 3, 4], 4],
      [[1, 2, 3, 5], 4],
    ])
    expect(description.parameters).toBe(2 * (2 * (8 + 4) + 4))
  })
})
