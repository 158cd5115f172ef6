import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { MergeJob } from '../../../src/adapters/merge.ts'
import { mergeAdapters } from '../../../src/adapters/merge.ts'
import { inspectAdapter } from '../../../src/adapters/read.ts'
import type { ErrorCode } from '../../../src/core/errors.ts'
import type { SafetensorsFile } from '../../../src/safetensors/file.ts'
import { openSafetensors } from '../../../src/safetensors/file.ts'
import { temporaryFolder } from '../../support/model-folder.ts'
import { expectRefusal } from '../../support/refusal.ts'
import type { AdapterFixture } from '../../support/tiny-adapters.ts'
import { modulePath, peftKey, readTiny, tinyLora, tinyTuner, writeAdapter } from '../../support/tiny-adapters.ts'

const CONFORMANCE = join(import.meta.dirname, '../../fixtures/conformance')
const R4 = join(CONFORMANCE, 'llama/adapters/lora-r4')
const R8 = join(CONFORMANCE, 'llama/adapters/lora-r8')
const METHODS = join(CONFORMANCE, 'llama-methods/adapters')
const SECOND = join(METHODS, 'lora-second')

type Combination = MergeJob['combination']
type Weighted = readonly (readonly [dir: string, weight: number])[]

async function merge(combination: Combination, weighted: Weighted, limitBytes = Infinity): Promise<string> {
  const into = await temporaryFolder()
  const sources = weighted.map(([dir, weight], i) => {
    return { name: `source-${i}`, dir, digest: inspectAdapter(dir).digest, weight }
  })
  mergeAdapters({ combination, sources, into, limitBytes })
  return into
}

async function expectRefused(combination: Combination, weighted: Weighted, code: ErrorCode, text: string) {
  const folder = await temporaryFolder()
  const sources = weighted.map(([dir, weight], i) => {
    return { name: `source-${i}`, dir, digest: inspectAdapter(dir).digest, weight }
  })
  expectRefusal(() => mergeAdapters({ combination, sources, into: folder, limitBytes: Infinity }), code, text)
}

async function saved(fixture: AdapterFixture): Promise<string> {
  return writeAdapter(join(await temporaryFolder(), 'adapter'), fixture)
}

/** The same tensors under another configuration. */
async function tiny(config: object, fixture = tinyLora()): Promise<string> {
  return saved({ ...fixture, config: { ...fixture.config, ...config } })
}

function weightsOf(dir: string): SafetensorsFile {
  return openSafetensors(join(dir, 'adapter_model.safetensors'), 'invalid_adapter')
}

function configOf(dir: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(dir, 'adapter_config.json'), 'utf8')) as Record<string, unknown>
}

/** Largest difference of a tensor's values from `expected`, of which rows and columns beyond ours must be zero. */
function difference(ours: SafetensorsFile, expected: SafetensorsFile, name: string): number {
  const [rows, columns] = ours.entry(name).shape as [number, number]
  const [allRows, allColumns] = expected.entry(name).shape as [number, number]
  const [own, reference] = [ours.readF32(name), expected.readF32(name)]
  let largest = 0
  for (let row = 0; row < allRows; row++) {
    for (let column = 0; column < allColumns; column++) {
      const inside = row < rows && column < columns
      const value = inside ? own[row * columns + column]! : 0
      largest = Math.max(largest, Math.abs(value - reference[row * allColumns + column]!))
    }
  }
  return largest
}

describe('merged as PEFT merged and saved them', () => {
  it.each([
    [
      'merge-linear',
      'linear',
      [
        [R4, 0.7],
        [SECOND, 0.5],
      ],
    ],
    [
      'merge-negative',
      'linear',
      [
        [R4, 0.7],
        [SECOND, -0.5],
      ],
    ],
    [
      'merge-cat',
      'cat',
      [
        [R4, 0.7],
        [R8, 0.5],
      ],
    ],
  ] as const)('%s', async (name, combination, weighted) => {
    const [ours, theirs] = [weightsOf(await merge(combination, weighted)), weightsOf(join(METHODS, name))]
    expect([...ours.tensors.keys()].sort()).toEqual([...theirs.tensors.keys()].sort())
    const differences = [...ours.tensors.keys()].map((tensor) => difference(ours, theirs, tensor))
    expect(differences.length).toBeGreaterThan(0)
    expect(Math.max(...differences)).toBeLessThan(1e-6)
    ours.close()
    theirs.close()
  })
})

/** scale · (B A)ᵀ of every branch, `[in, out]`, by site: what the adapter does. */
function updates(dir: string): Map<string, number[]> {
  const { branches } = readTiny(dir).weights
  return new Map(
    branches.map(({ layer, kind, rank, scale, down, up }) => {
      const [inDim, outDim] = [down.length / rank, up.length / rank]
      const product = Array.from({ length: inDim * outDim }, (_, at) => {
        const [input, output] = [Math.floor(at / outDim), at % outDim]
        let sum = 0
        for (let r = 0; r < rank; r++) sum += down[r * inDim + input]! * up[r * outDim + output]!
        return scale * sum
      })
      return [`layers.${layer}.${kind}`, product] as const
    }),
  )
}

function expectSum(merged: string, weighted: Weighted): void {
  const found = updates(merged)
  const parts = weighted.map(([dir, weight]) => [updates(dir), weight] as const)
  expect([...found.keys()].sort()).toEqual([...new Set(parts.flatMap(([part]) => [...part.keys()]))].sort())
  for (const [site, values] of found) {
    for (const [i, value] of values.entries()) {
      const sum = parts.reduce((total, [part, weight]) => total + weight * (part.get(site)?.[i] ?? 0), 0)
      expect(value).toBeCloseTo(sum, 5)
    }
  }
}

describe('cat is the weighted sum of the updates', () => {
  it('of different modules, ranks, patterns and rank-stabilised scales; every module keeps its own rank', async () => {
    const plain = await tiny({ lora_alpha: 3 }, tinyLora(['q_proj', 'down_proj'], 2))
    const stable = await tiny({ use_rslora: true }, tinyLora(['q_proj', 'v_proj'], 3))
    const patterned = await tiny(
      { r: 7, rank_pattern: { v_proj: 4 }, lora_alpha: 1, alpha_pattern: { 'layers.1.self_attn.v_proj': 9 } },
      tinyLora(['v_proj'], 4),
    )
    const weighted: Weighted = [[plain, 0.5], [stable, -1.25], [patterned, 2]] // prettier-ignore
    const merged = await merge('cat', weighted)
    expectSum(merged, weighted)
    const { branches } = readTiny(merged).weights
    expect(branches.map(({ kind, rank, scale }) => [kind, rank, scale])).toEqual(
      [0, 1].flatMap(() => [['down_proj', 2, 1], ['q_proj', 5, 1], ['v_proj', 7, 1]]), // prettier-ignore
    )
    expect(configOf(merged)).toMatchObject({
      r: 7,
      lora_alpha: 7,
      use_rslora: false,
      base_model_name_or_path: 'fixtures/tiny',
    })
  })

  it('of layers that one configuration alone could not select', async () => {
    const whole = tinyLora(['q_proj'])
    const onlyFirst = tinyLora(['v_proj'])
    for (const side of ['A', 'B'] as const) delete onlyFirst.tensors[peftKey(1, 'v_proj', side)]
    const weighted: Weighted = [[await tiny({ layers_to_transform: [0] }, onlyFirst), 1], [await saved(whole), 1]] // prettier-ignore
    const merged = await merge('cat', weighted)
    expectSum(merged, weighted)
    expect(configOf(merged).target_modules).toEqual(
      [[0, 'v_proj'], [0, 'q_proj'], [1, 'q_proj']].map(([layer, name]) => modulePath(layer as number, name as 'q_proj')), // prettier-ignore
    )
  })

  it('of embedding and head', async () => {
    const weighted: Weighted = [[join(METHODS, 'lora-embed'), 0.5], [R4, 1]] // prettier-ignore
    const [ours, theirs] = [weightsOf(await merge('cat', weighted)), weightsOf(join(METHODS, 'lora-embed'))]
    const name = [...theirs.tensors.keys()].find((key) => key.endsWith('lora_embedding_B'))!
    expect(ours.readF32(name)).toEqual(theirs.readF32(name))
    ours.close()
    theirs.close()
  })
})

describe('linear', () => {
  it('adds factors, with the sign on one side; one adapter alone is scaled exactly, whatever the combination', async () => {
    const one = await saved(tinyLora())
    for (const combination of ['linear', 'cat'] as const) {
      const merged = await merge(combination, [[one, -0.3]])
      expectSum(merged, [[one, -0.3]])
      expect(configOf(merged).r).toBe(2)
    }
  })

  it('needs equal ranks in every module that adapters share, and only there', async () => {
    const [two, three] = [await saved(tinyLora(['q_proj'], 2)), await saved(tinyLora(['q_proj'], 3))]
    const text = `${modulePath(0, 'q_proj')} has rank 2 in source-0 and 3 in source-1; "linear" needs equal ranks: use "cat"`
    await expectRefused('linear', [[two, 1], [three, 1]], 'invalid_request', text) // prettier-ignore
    const other = await saved(tinyLora(['v_proj'], 3))
    const merged = await merge('linear', [[two, 1], [other, 1]]) // prettier-ignore
    expectSum(merged, [[two, 1], [other, 1]]) // prettier-ignore
  })
})

describe('what is refused', () => {
  it('other methods and formats, DoRA and biases, by name', async () => {
    const plain = await saved(tinyLora())
    const refused = async (dir: string, text: string): Promise<void> =>
      expectRefused('cat', [[plain, 1], [dir, 1]], 'invalid_request', text) // prettier-ignore
    await refused(join(METHODS, 'ia3'), 'source-1 is no LoRA of PEFT')
    await refused(join(METHODS, 'ah-lora'), 'source-1 is no LoRA of PEFT')
    await refused(join(METHODS, 'dora'), 'source-1 is a DoRA')
    await refused(join(METHODS, 'lora-bias'), 'source-1 has biases (lora_bias)')
  })

  it('modules of different sizes', async () => {
    const shapes = { 'lora_A.weight': [2, 5], 'lora_B.weight': [8, 2] }
    const other = await saved(tinyTuner({ peft_type: 'LORA', r: 2, lora_alpha: 2 }, ['q_proj'], () => shapes))
    const text = 'merge adapters of one base model'
    await expectRefused('cat', [[await saved(tinyLora()), 1], [other, 1]], 'invalid_request', text) // prettier-ignore
  })

  it('files that were altered since they were accepted', async () => {
    const dir = await saved(tinyLora())
    const into = await temporaryFolder()
    const source = { name: 'acme/a@v1', dir, digest: inspectAdapter(dir).digest, weight: 1 }
    writeFileSync(join(dir, 'adapter_config.json'), JSON.stringify({ ...configOf(dir), lora_alpha: 4 }))
    const job = { combination: 'linear' as const, sources: [source], into, limitBytes: Infinity }
    expectRefusal(() => mergeAdapters(job), 'digest_mismatch', 'the files of acme/a@v1 are not those')
  })

  it('more bytes than an upload may have, before any is written', async () => {
    const one = await saved(tinyLora())
    await expect(merge('linear', [[one, 1]], 10)).rejects.toMatchObject({ code: 'upload_too_large' })
  })

  it('a folder that has files already', async () => {
    const one = await saved(tinyLora())
    const into = join(await temporaryFolder(), 'taken')
    mkdirSync(into)
    writeFileSync(join(into, 'adapter_model.safetensors'), 'mine')
    const source = { name: 'a', dir: one, digest: inspectAdapter(one).digest, weight: 1 }
    const job = { combination: 'linear' as const, sources: [source], into, limitBytes: Infinity }
    expect(() => mergeAdapters(job)).toThrow('EEXIST')
    expect(readFileSync(join(into, 'adapter_model.safetensors'), 'utf8')).toBe('mine')
  })
})
