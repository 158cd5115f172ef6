import { describe, expect, it } from 'vitest'
import { expectRefused, readFixture, tinyLora, tinyTuner } from '../../support/tiny-adapters.ts'
import type { ModuleName } from '../../support/tiny-adapters.ts'
import { noise } from '../../support/tiny-checkpoint.ts'
import { tinyInfo } from '../../support/tiny-model.ts'

const ALL: ModuleName[] = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']

function loraWith(modules: readonly ModuleName[], changes: object) {
  const fixture = tinyLora(modules)
  return { ...fixture, config: { ...fixture.config, ...changes } }
}

it('an empty name of the base model says nothing', async () => {
  const { description } = await readFixture(loraWith(['q_proj'], { base_model_name_or_path: '' }))
  expect(description.baseModel).toBeNull()
})

describe('target_modules', () => {
  it.each([
    ['a comma list', ['q_proj', 'o_proj'], 'q_proj, o_proj'],
    ['a name alone', ['o_proj'], 'o_proj'],
    ['a list that ends in a comma', ['q_proj'], 'q_proj, '],
    ['"all"', ALL, 'all'],
    ['"All-Linear"', ALL, 'All-Linear'],
    ['a pattern over whole layers', ALL, 'model.layers.*'],
    ['null, with the modules that PEFT chooses itself', ['q_proj', 'v_proj'], null],
    ['an empty list, likewise', ['q_proj', 'v_proj'], []],
  ] as const)('may be %s', async (_name, modules, target) => {
    const { description } = await readFixture(loraWith(modules, { target_modules: target }))
    expect(description.sites).toHaveLength(2 * modules.length)
  })

  it.each([
    [null, ['o_proj', 'q_proj'], '"target_modules" is null; tensor'],
    [[], ['o_proj', 'q_proj'], '"target_modules" is []'],
    ['all', ['o_proj', 'q_proj'], '"target_modules" is "all"; it selects layers.0.k_proj'],
    ['q_proj,v_proj', ['q_proj'], '"target_modules" is "q_proj,v_proj"'],
    ['model.layers.*', ['q_proj', 'o_proj'], '"target_modules" is "model.layers.*"'],
  ] as const)('%j is named with what the tensors are for where they disagree', async (target, modules, text) => {
    const fixture = loraWith(modules, { target_modules: target })
    await expectRefused(fixture, 'invalid_adapter', text)
    await expectRefused(fixture, 'invalid_adapter', `the tensors are for ${JSON.stringify([...modules].sort())}`)
  })
})

describe('fields that say nothing about what was saved', () => {
  it.each([
    ['corda_config', { covariance_file: null, corda_method: 'kpm' }],
    ['lora_ga_config', { direction: 'ArB2r' }],
    ['loftq_config', { loftq_bits: 4 }],
    ['eva_config', { rho: 2 }],
  ])('%s of a training that was converted', async (field, value) => {
    const fixture = loraWith(['q_proj'], { [field]: value, init_lora_weights: true })
    expect((await readFixture(fixture)).description.method).toBe('lora')
  })

  it.each(['SEQ_CLS', 'FEATURE_EXTRACTION', 'TOKEN_CLS', null])(
    'the task type %s of a LoRA without a head',
    async (type) => {
      const changes = { task_type: type, modules_to_save: type === 'SEQ_CLS' ? ['classifier', 'score'] : null }
      expect((await readFixture(loraWith(['q_proj'], changes))).description.sites).toHaveLength(2)
    },
  )

  it('a head of a classifier is refused by its tensor', async () => {
    const fixture = loraWith(['q_proj'], { task_type: 'SEQ_CLS', modules_to_save: ['score'] })
    fixture.tensors['base_model.model.score.weight'] = { shape: [2, 8], values: noise(1, 16) }
    await expectRefused(fixture, 'unsupported_adapter', 'tensor "base_model.model.score.weight"')
  })
})

describe('a method that is not supported', () => {
  it.each([
    ['VBLORA', 'peft.save_as_lora('],
    ['FOURIERFT', 'peft.save_as_lora('],
    ['OFT', 'merge_and_unload()'],
    ['LN_TUNING', 'merge_and_unload()'],
    ['POLY', 'supported: LORA, ADALORA'],
  ])('%s is refused by its name, with a way out', async (type, text) => {
    await expectRefused(loraWith(['q_proj'], { peft_type: type }), 'unsupported_adapter', `"peft_type" is "${type}"`)
    await expectRefused(loraWith(['q_proj'], { peft_type: type }), 'unsupported_adapter', text)
  })
})

describe('a LoKr of PEFT 0.13', () => {
  const shapes = ([inDim, outDim]: readonly [number, number]) => ({
    lokr_w1: [2, 2],
    lokr_w2: [outDim / 2, inDim / 2],
  })
  const lokr = (config: object) => tinyTuner({ peft_type: 'LOKR', r: 4, ...config }, ['q_proj'], shapes)

  it('comes with a warning where its scale is not 1', async () => {
    const old = (await readFixture(lokr({ alpha: 8 }))).description.warnings
    expect(old).toEqual([expect.stringContaining('with the scale 2') as string])
    expect((await readFixture(lokr({ alpha: 4 }))).description.warnings).toEqual([])
    expect((await readFixture(lokr({ alpha: 8, exclude_modules: null }))).description.warnings).toEqual([])
  })
})

it('a LoRA on the head of a GPT-NeoX may call it by the name of transformers 5', async () => {
  const info = tinyInfo({
    family: 'gpt_neox',
    within: [[['embed_out', 'lm_head']]],
    otherModules: [{ path: 'embed_out', kind: 'lm_head' }],
  })
  for (const name of ['lm_head', 'embed_out']) {
    const fixture = loraWith(['q_proj'], { target_modules: ['q_proj', name] })
    fixture.tensors[`base_model.model.${name}.lora_A.weight`] = { shape: [2, 8], values: noise(1, 16) }
    fixture.tensors[`base_model.model.${name}.lora_B.weight`] = { shape: [32, 2], values: noise(2, 64) }
    expect((await readFixture(fixture, info)).description.sites).toContain('lm_head')
  }
})
