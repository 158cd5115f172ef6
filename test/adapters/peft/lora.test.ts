import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { inspectAdapter } from '../../../src/adapters/read.ts'
import type { Branch } from '../../../src/core/branch.ts'
import type { ErrorCode } from '../../../src/core/errors.ts'
import { temporaryFolder } from '../../support/model-folder.ts'
import { expectRefusal } from '../../support/refusal.ts'
import type { AdapterFixture, ModuleName } from '../../support/tiny-adapters.ts'
import { readTiny, peftKey, tinyLora, writeAdapter } from '../../support/tiny-adapters.ts'
import { tinyInfo } from '../../support/tiny-model.ts'

async function write(fixture: AdapterFixture): Promise<string> {
  return writeAdapter(join(await temporaryFolder(), 'adapter'), fixture)
}

async function branches(fixture: AdapterFixture): Promise<readonly Branch[]> {
  return readTiny(await write(fixture)).weights.branches
}

async function expectRefused(fixture: AdapterFixture, code: ErrorCode, text: string): Promise<void> {
  const dir = await write(fixture)
  expectRefusal(() => readTiny(dir), code, text)
}

function withConfig(changes: object, fixture = tinyLora()): AdapterFixture {
  fixture.config = { ...fixture.config, ...changes }
  return fixture
}

/** The same tensors under other names. */
function renamed(fixture: AdapterFixture, rename: (name: string) => string): AdapterFixture {
  const entries = Object.entries(fixture.tensors).map(([name, tensor]) => [rename(name), tensor] as const)
  return { config: fixture.config, tensors: Object.fromEntries(entries) }
}

const ALL: ModuleName[] = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']

describe('a LoRA becomes branches', () => {
  it('A as it is, B transposed, alpha / r, all in one shared buffer', async () => {
    const fixture = tinyLora(['down_proj', 'k_proj'])
    const { weights, description } = readTiny(await write(fixture))
    const { branches: read } = weights
    expect(read.map(({ layer, kind, rank, scale }) => [layer, kind, rank, scale])).toEqual([
      [0, 'down_proj', 2, 4],
      [0, 'k_proj', 2, 4],
      [1, 'down_proj', 2, 4],
      [1, 'k_proj', 2, 4],
    ])
    const down = read.find((branch) => branch.layer === 1 && branch.kind === 'down_proj')!
    const b = fixture.tensors[peftKey(1, 'down_proj', 'B')]!.values!
    expect([...down.down]).toEqual(Array.from(fixture.tensors[peftKey(1, 'down_proj', 'A')]!.values!))
    expect([...down.up]).toEqual([0, 1].flatMap((r) => Array.from({ length: 8 }, (_, o) => b[o * 2 + r]!)))
    expect(down).toMatchObject({ a: null, c: null, activation: 'identity' })
    const buffers = new Set(read.flatMap((branch) => [branch.down.buffer, branch.up.buffer]))
    expect([...buffers]).toEqual([expect.any(SharedArrayBuffer)])
    expect(weights.bytes).toBe([...buffers][0]!.byteLength)
    expect(description).toMatchObject({ format: 'peft', method: 'lora', rank: 2, baseModel: 'fixtures/tiny' })
    expect(description.sites).toEqual([
      'layers.0.down_proj',
      'layers.0.k_proj',
      'layers.1.down_proj',
      'layers.1.k_proj',
    ])
    expect(description.parameters).toBe(2 * 2 * (16 + 8 + 8 + 4))
  })

  it('alpha / √r when rank-stabilised', async () => {
    const [branch] = await branches(withConfig({ use_rslora: true }))
    expect(branch!.scale).toBeCloseTo(8 / Math.SQRT2, 12)
  })

  it('rank and alpha of single modules by the first pattern that ends the path', async () => {
    const fixture = withConfig({
      rank_pattern: { '^model\\.layers\\.1\\.self_attn\\.q_proj': 3, v_proj: 1, q_pro: 9 },
      alpha_pattern: { 'self_attn.(q|v)_proj': 6, v_proj: 100 },
    })
    const q = peftKey(1, 'q_proj', 'A')
    fixture.tensors[q] = { shape: [3, 8] }
    fixture.tensors[peftKey(1, 'q_proj', 'B')] = { shape: [8, 3] }
    for (const layer of [0, 1]) {
      fixture.tensors[peftKey(layer, 'v_proj', 'A')] = { shape: [1, 8] }
      fixture.tensors[peftKey(layer, 'v_proj', 'B')] = { shape: [4, 1] }
    }
    const read = await branches(fixture)
    const found = read.map(({ layer, kind, rank, scale }) => `${layer} ${kind} ${rank} ${scale}`)
    expect(found.sort()).toEqual(['0 q_proj 2 3', '0 v_proj 1 6', '1 q_proj 3 2', '1 v_proj 1 6'])
  })

  it.each([
    // `save_pretrained` leaves the adapter's name out (read in peft 0.5, 0.8, 0.11, 0.14, 0.17 and 0.21); a saved `state_dict()` has it.
    ['names with the adapter in them', (name: string) => name.replace('.weight', '.default.weight')],
    // What 0.21 writes when `get_peft_model` is called on a model that it has wrapped already.
    ['names of a model wrapped twice', (name: string) => `base_model.model.${name}`],
    ['a bare base model', (name: string) => name.replace('base_model.model.model.', 'base_model.model.')],
  ])('under %s', async (_, rename) => {
    expect(await branches(renamed(tinyLora(), rename))).toEqual(await branches(tinyLora()))
  })

  it.each([
    ['all seven by name', ALL, ALL],
    ['all-linear', ALL, 'all-linear'],
    ['a pattern', ['q_proj', 'k_proj'], '.*\\.self_attn\\.[qk]_proj'],
    ['a pattern as re.escape writes it', ['q_proj'], 'model\\.layers\\.\\d+\\.self\\_attn\\.(?P<kind>q)_proj'],
    ['a name that is nowhere, too', ['q_proj'], ['q_proj', 'c_attn']],
    ['none, which means q and v', ['q_proj', 'v_proj'], null],
  ] as [string, ModuleName[], unknown][])('selected by %s', async (_, modules, target) => {
    expect(await branches(withConfig({ target_modules: target }, tinyLora(modules)))).toHaveLength(2 * modules.length)
  })

  it.each([
    [{ layers_to_transform: [1] }],
    [{ layers_to_transform: 1, layers_pattern: 'layers' }],
    [{ exclude_modules: '.*\\.0\\..*' }],
    [{ exclude_modules: ['layers.0.self_attn.q_proj', 'layers.0.self_attn.v_proj'] }],
  ])('only in one layer: %j', async (changes) => {
    const fixture = withConfig(changes)
    for (const name of Object.keys(fixture.tensors)) if (name.includes('layers.0')) delete fixture.tensors[name]
    expect((await branches(fixture)).every((branch) => branch.layer === 1)).toBe(true)
    await expectRefused(withConfig(changes), 'invalid_adapter', 'does not select')
  })
})

describe('what is not plain LoRA is refused by field or tensor', () => {
  const fields: Record<string, unknown> = {
    peft_type: 'OFT',
    bias: 'all',
    fan_in_fan_out: true,
    init_lora_weights: 'pissa_niter_16',
    layer_replication: [[0, 1]],
    target_parameters: ['mlp.experts'],
    alora_invocation_tokens: [1],
    megatron_config: { hidden: 8 },
    use_qalora: true,
    task_type: 'SEQ_2_SEQ_LM',
    sharpness: 0.5,
  }
  for (const [field, value] of Object.entries(fields)) {
    it(field, () => expectRefused(withConfig({ [field]: value }), 'unsupported_adapter', `"${field}"`))
  }

  it.each([
    ['base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector', 'DoRA'],
    ['base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias', 'lora_bias'],
    ['base_model.model.model.norm.weight', 'modules_to_save'],
    ['base_model.model.model.layers.0.self_attn.q_proj.base_layer.bias', 'biases'],
    ['base_model.model.model.layers.0.self_attn.q_proj.hada_w1_a', 'another method'],
    ['model.layers.0.self_attn.q_proj.lora_A.weight', 'begin with "base_model.model."'],
  ])('%s', async (name, text) => {
    const fixture = tinyLora()
    fixture.tensors[name] = { shape: [8] }
    await expectRefused(fixture, 'unsupported_adapter', text)
    await expectRefused(fixture, 'unsupported_adapter', name)
  })

  it('a target on a head or an embedding that the base model changes on the way', async () => {
    const dir = await write(withConfig({ target_modules: ['q_proj', 'v_proj', 'lm_head'] }))
    expectRefusal(() => readTiny(dir, tinyInfo({ edges: ['embed_tokens'] })), 'unsupported_adapter', 'lm_head')
    expectRefusal(() => readTiny(dir), 'invalid_adapter', 'selects lm_head')
  })
})

describe('a broken LoRA is refused by tensor or field', () => {
  const A = peftKey(1, 'v_proj', 'A')
  const B = peftKey(1, 'v_proj', 'B')
  const cases: Record<string, [(fixture: AdapterFixture) => unknown, ErrorCode, string]> = {
    'A without B': [(f) => delete f.tensors[B], 'invalid_adapter', A],
    'B without A': [(f) => delete f.tensors[A], 'invalid_adapter', B],
    'another rank than r': [(f) => (f.tensors[A] = { shape: [3, 8] }), 'invalid_adapter', A],
    'A and B of different rank': [(f) => (f.tensors[B] = { shape: [4, 3] }), 'invalid_adapter', B],
    'a vector': [(f) => (f.tensors[A] = { shape: [16] }), 'invalid_adapter', A],
    'another input width': [(f) => (f.tensors[A] = { shape: [2, 9] }), 'base_mismatch', A],
    'another output width': [(f) => (f.tensors[B] = { shape: [5, 2] }), 'base_mismatch', B],
    integers: [
      (f) => (f.tensors[A] = { dtype: 'I16', shape: [2, 8], bits: new Uint16Array(16) }),
      'invalid_adapter',
      A,
    ],
    'not a number': [(f) => (f.tensors[A] = { shape: [2, 8], values: [0, NaN] }), 'invalid_adapter', `${A}" has NaN`],
    infinity: [(f) => (f.tensors[B] = { shape: [4, 2], values: [-Infinity] }), 'invalid_adapter', `${B}" has -Inf`],
    'no tensors': [
      (f) => Object.keys(f.tensors).forEach((name) => delete f.tensors[name]),
      'invalid_adapter',
      'no tensors',
    ],
    'a target without tensors': [
      (f) => (f.config['target_modules'] = ['q_proj', 'v_proj', 'up_proj']),
      'invalid_adapter',
      'layers.0.up_proj',
    ],
    'tensors without a target': [(f) => (f.config['target_modules'] = ['q_proj']), 'invalid_adapter', 'v_proj.lora_A'],
    'the same place twice': [
      (f) => (f.tensors[A.replace('.weight', '.default.weight')] = { shape: [2, 8] }),
      'invalid_adapter',
      'same place',
    ],
    'r of 0': [(f) => (f.config['r'] = 0), 'invalid_adapter', '"r" is 0'],
    'no lora_alpha': [(f) => delete f.config['lora_alpha'], 'invalid_adapter', '"lora_alpha" is missing'],
    'targets that are no names': [(f) => (f.config['target_modules'] = [1]), 'invalid_adapter', 'target_modules'],
    'a pattern for another rank than its tensors': [
      (f) => (f.config['rank_pattern'] = { v_proj: 4 }),
      'invalid_adapter',
      'v_proj.lora_A',
    ],
    'a broken pattern': [(f) => (f.config['target_modules'] = '(q_proj'), 'unsupported_adapter', 'target_modules'],
    'a pattern that only Python has': [
      (f) => (f.config['target_modules'] = '(?i)q_proj'),
      'unsupported_adapter',
      '(?i)',
    ],
  }
  for (const [what, [change, code, text]] of Object.entries(cases)) {
    it(what, async () => {
      const fixture = tinyLora()
      change(fixture)
      await expectRefused(fixture, code, text)
    })
  }

  it('a pattern that would never end is stopped', async () => {
    const changes = { target_modules: '(([\\w.]+)+)+!' }
    await expectRefused(withConfig(changes), 'invalid_adapter', 'took more than')
  })

  it('a base model with other layers or modules', async () => {
    const dir = await write(tinyLora())
    expectRefusal(() => readTiny(dir, tinyInfo({ layers: 1 })), 'base_mismatch', 'has 1 layers')
    expectRefusal(() => readTiny(dir, tinyInfo({ layers: 3 })), 'base_mismatch', 'ends at layer 1')
    const other = await write(renamed(tinyLora(), (name) => name.replace('model.layers', 'transformer.h')))
    expectRefusal(() => readTiny(other, tinyInfo()), 'base_mismatch', 'transformer.h.0.self_attn.q_proj')
    const misplaced = await write(renamed(tinyLora(), (name) => name.replace('self_attn', 'mlp')))
    expectRefusal(() => readTiny(misplaced, tinyInfo()), 'base_mismatch', 'mlp.q_proj')
  })
})

describe('inspection without a base model', () => {
  it('tells what is in the files', async () => {
    const dir = await write(tinyLora())
    const { description, digest, tensors, config } = inspectAdapter(dir)
    const read = readTiny(dir)
    expect(description).toEqual(read.description)
    expect(digest).toBe(read.weights.digest)
    expect(tensors).toHaveLength(8)
    expect(config['r']).toBe(2)
  })
})
