import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { WEIGHT_FILES } from '../../src/adapters/files.ts'
import { inspectAdapter } from '../../src/adapters/read.ts'
import type { ErrorCode } from '../../src/core/errors.ts'
import { transposeInto } from '../../src/core/transpose.ts'
import { temporaryFolder } from '../support/model-folder.ts'
import { expectRefusal } from '../support/refusal.ts'
import type { AdapterFixture } from '../support/tiny-adapters.ts'
import { readTiny, tinyLora, writeAdapter } from '../support/tiny-adapters.ts'

/** What `mlx_lm.lora` saves of how it was started. */
const CONFIG = {
  adapter_path: 'adapters',
  batch_size: 4,
  config: null,
  fine_tune_type: 'lora',
  iters: 2,
  lora_parameters: { rank: 2, dropout: 0, scale: 4 },
  model: 'fixtures/tiny',
  num_layers: 2,
  optimizer: 'adam',
  seed: 0,
  train: true,
}

/** PEFT's tensors under MLX's names, transposed. */
function toMlx({ tensors }: AdapterFixture, config: object = {}): AdapterFixture {
  const renamed = Object.entries(tensors).map(([name, { shape, values, ...rest }]) => {
    const [rows, columns] = shape as [number, number]
    const turned = new Float32Array(rows * columns)
    transposeInto(Float32Array.from(values!), rows, columns, turned, rows, 0)
    const own = name.replace('base_model.model.', '').replace('lora_A.weight', 'lora_a').replace('lora_B.weight', 'lora_b') // prettier-ignore
    return [own, { ...rest, shape: [columns, rows], values: turned }] as const
  })
  return { config: { ...CONFIG, ...config }, tensors: Object.fromEntries(renamed) }
}

async function write(fixture: AdapterFixture): Promise<string> {
  return writeAdapter(join(await temporaryFolder(), 'adapter'), fixture, WEIGHT_FILES.mlx)
}

async function expectRefused(fixture: AdapterFixture, code: ErrorCode, text: string): Promise<void> {
  const dir = await write(fixture)
  expectRefusal(() => readTiny(dir), code, text)
}

describe('a LoRA of MLX', () => {
  it('is PEFT’s with its factors transposed and alpha = scale × rank', async () => {
    const peft = tinyLora(['q_proj', 'down_proj'])
    const { weights } = readTiny(writeAdapter(join(await temporaryFolder(), 'peft'), peft))
    const dir = await write(toMlx(peft))
    const { weights: own, description } = readTiny(dir)
    expect(own.branches).toEqual(weights.branches)
    expect(description).toMatchObject({ format: 'mlx', method: 'lora', rank: 2, baseModel: 'fixtures/tiny' })
    expect(inspectAdapter(dir)).toMatchObject({ digest: own.digest })
  })

  it('of some layers is of the last ones', async () => {
    const peft = tinyLora(['q_proj'])
    const last = Object.fromEntries(Object.entries(peft.tensors).filter(([name]) => name.includes('layers.1.')))
    const first = Object.fromEntries(Object.entries(peft.tensors).filter(([name]) => name.includes('layers.0.')))
    const { weights } = readTiny(await write(toMlx({ ...peft, tensors: last }, { num_layers: 1 })))
    expect(weights.branches.map(({ layer }) => layer)).toEqual([1])
    await expectRefused(toMlx({ ...peft, tensors: first }, { num_layers: 1 }), 'base_mismatch', '"num_layers" is 1')
    await expectRefused(toMlx(peft, { num_layers: 1 }), 'base_mismatch', 'the file has tensors of others')
    await expectRefused(toMlx({ ...peft, tensors: last }), 'base_mismatch', 'the file has none of layer 0')
  })

  it('is refused where its meaning is not clear', async () => {
    const fixture = (config: object): AdapterFixture => toMlx(tinyLora(), config)
    await expectRefused(fixture({ fine_tune_type: 'full' }), 'unsupported_adapter', '"fine_tune_type" is "full"')
    await expectRefused(fixture({ lora_parameters: null }), 'invalid_adapter', '"lora_parameters" is null')
    const alpha = { lora_parameters: { rank: 2, scale: 4, alpha: 16 } }
    await expectRefused(fixture(alpha), 'unsupported_adapter', '"lora_parameters.alpha" is 16')
    await expectRefused(fixture({ lora_parameters: { rank: 3, scale: 4 } }), 'invalid_adapter', 'lora_a')
    const { config, tensors } = fixture({})
    const [[name, tensor], ...others] = Object.entries(tensors) as [[string, typeof tensors[string]], ...[string, typeof tensors[string]][]] // prettier-ignore
    const rest = Object.fromEntries(others)
    await expectRefused({ config, tensors: rest }, 'invalid_adapter', 'beside it')
    await expectRefused({ config, tensors: { ...rest, [`${name}.odd`]: tensor } }, 'unsupported_adapter', 'no part of a LoRA of MLX') // prettier-ignore
  })
})
