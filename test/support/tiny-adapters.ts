import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { WEIGHT_FILES } from '../../src/adapters/files.ts'
import { readAdapter } from '../../src/adapters/read.ts'
import type { BaseWeights } from '../../src/core/base-weights.ts'
import { EDGE_KINDS, LINEAR_KINDS } from '../../src/core/branch.ts'
import type { ErrorCode } from '../../src/core/errors.ts'
import type { ModelInfo } from '../../src/core/model-info.ts'
import { siteDims } from '../../src/core/model-info.ts'
import { temporaryFolder } from './model-folder.ts'
import { expectRefusalAsync } from './refusal.ts'
import { tinyInfo } from './tiny-model.ts'
import { writeSafetensors } from './safetensors-writer.ts'
import type { Tensors } from './tiny-checkpoint.ts'
import { noise } from './tiny-checkpoint.ts'

/** Configuration and tensors of an adapter, to be changed and written. */
export interface AdapterFixture {
  config: Record<string, unknown>
  readonly tensors: Tensors
}

const MODULES = {
  q_proj: 'self_attn',
  k_proj: 'self_attn',
  v_proj: 'self_attn',
  o_proj: 'self_attn',
  gate_proj: 'mlp',
  up_proj: 'mlp',
  down_proj: 'mlp',
} as const
export type ModuleName = keyof typeof MODULES

/** Where PEFT keeps the tensors of a module. */
export function peftKey(layer: number, module: ModuleName, side: 'A' | 'B'): string {
  return `base_model.model.model.layers.${layer}.${MODULES[module]}.${module}.lora_${side}.weight`
}

/** Where PEFT keeps what belongs to a module, without its own prefix. */
export function modulePath(layer: number, module: ModuleName): string {
  return `model.layers.${layer}.${MODULES[module]}.${module}`
}

/**
 * A PEFT adapter of any method for `tinyInfo()` on some modules of both layers.
 *
 * @param shapes of the tensors of a module, by what follows the module's path in their names
 */
export function tinyTuner(
  config: Readonly<Record<string, unknown>>,
  modules: readonly ModuleName[],
  shapes: (dims: readonly [number, number], module: ModuleName) => Readonly<Record<string, readonly number[]>>,
): AdapterFixture {
  const tensors: Tensors = {}
  let seed = 300
  for (const layer of [0, 1]) {
    for (const module of modules) {
      for (const [suffix, shape] of Object.entries(shapes(tinyInfo().linear[module]!, module))) {
        const count = shape.reduce((product, size) => product * size, 1)
        const name = `base_model.model.${modulePath(layer, module)}.${suffix}`
        tensors[name] = { shape, values: noise(seed++, count) }
      }
    }
  }
  const provenance = { base_model_name_or_path: 'fixtures/tiny', task_type: 'CAUSAL_LM', inference_mode: true }
  return { config: { ...provenance, target_modules: [...modules], ...config }, tensors }
}

/** A PEFT LoRA for `tinyInfo()` on some modules of both layers. */
export function tinyLora(modules: readonly ModuleName[] = ['q_proj', 'v_proj'], rank = 2): AdapterFixture {
  const tensors: Tensors = {}
  const { linear } = tinyInfo()
  let seed = 1
  for (const layer of [0, 1]) {
    for (const module of modules) {
      const [inDim, outDim] = linear[module]!
      tensors[peftKey(layer, module, 'A')] = { shape: [rank, inDim], values: noise(seed++, rank * inDim) }
      tensors[peftKey(layer, module, 'B')] = { shape: [outDim, rank], values: noise(seed++, rank * outDim) }
    }
  }
  const config = {
    peft_type: 'LORA',
    base_model_name_or_path: 'fixtures/tiny',
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: 8,
    lora_dropout: 0.1,
    modules_to_save: null,
    r: rank,
    rank_pattern: {},
    target_modules: [...modules],
    task_type: 'CAUSAL_LM',
    use_dora: false,
  }
  return { config, tensors }
}

/** A sequential bottleneck adapter of AdapterHub for `tinyInfo()`; `inner` changes the fields of its method. */
export function tinyBottleneck(inner: Readonly<Record<string, unknown>> = {}): AdapterFixture {
  const tensors: Tensors = {}
  const rank = 2
  const places = [...(inner['mh_adapter'] === true ? ['attention_adapters'] : []), 'output_adapters']
  let seed = 100
  for (const layer of [0, 1]) {
    for (const place of places) {
      const prefix = `model.layers.${layer}.${place}.adapters.tone`
      tensors[`${prefix}.adapter_down.0.weight`] = { shape: [rank, 8], values: noise(seed++, rank * 8) }
      tensors[`${prefix}.adapter_down.0.bias`] = { shape: [rank], values: noise(seed++, rank) }
      tensors[`${prefix}.adapter_up.weight`] = { shape: [8, rank], values: noise(seed++, rank * 8) }
      tensors[`${prefix}.adapter_up.bias`] = { shape: [8], values: noise(seed++, 8) }
    }
  }
  const config = {
    config: {
      adapter_residual_before_ln: false,
      cross_adapter: false,
      dropout: 0,
      inv_adapter: null,
      is_parallel: false,
      leave_out: [],
      ln_after: false,
      ln_before: false,
      mh_adapter: false,
      non_linearity: 'relu',
      original_ln_after: true,
      original_ln_before: true,
      output_adapter: true,
      phm_layer: false,
      reduction_factor: 4,
      residual_before_ln: true,
      scaling: 1,
      use_gating: false,
      ...inner,
    },
    hidden_size: 8,
    model_class: 'LlamaForCausalLM',
    model_name: 'fixtures/tiny',
    model_type: 'llama',
    name: 'tone',
    version: 'adapters.1.3.0',
  }
  return { config, tensors }
}

/** Random weights for `tinyInfo()`, the same every time; every module has a bias. */
export const TINY_BASE: BaseWeights = {
  tiedHead: () => false,
  rows: (layer, kind) => {
    const [inDim, outDim] = siteDims(tinyInfo(), kind)
    const [count, width] = kind === 'embed_tokens' ? [inDim, outDim] : [outDim, inDim]
    const seed = 1000 + 20 * layer + [...LINEAR_KINDS, ...EDGE_KINDS].indexOf(kind)
    const [weight, bias] = [noise(seed, width * count), noise(seed + 500, count)]
    return {
      outDim: count,
      readRows: (into, first) => into.set(weight.subarray(first * width, first * width + into.length)),
      readBias: (into) => into.set(bias),
    }
  },
}

/** Writes an adapter into a folder of its own and reads it for `tinyInfo()` and its weights, or for another description. */
export async function readFixture(
  fixture: AdapterFixture,
  info: ModelInfo = tinyInfo(),
): Promise<ReturnType<typeof readAdapter>> {
  return readTiny(writeAdapter(join(await temporaryFolder(), 'adapter'), fixture), info)
}

/** Expects that reading an adapter fails with this code and a message that has the text. */
export async function expectRefused(
  fixture: AdapterFixture,
  code: ErrorCode,
  text: string,
  info: ModelInfo = tinyInfo(),
): Promise<void> {
  await expectRefusalAsync(() => readFixture(fixture, info), code, text)
}

/** Reads the adapter in a folder for `tinyInfo()` and its weights, or for another description. */
export function readTiny(dir: string, info: ModelInfo = tinyInfo()): ReturnType<typeof readAdapter> {
  return readAdapter(dir, info, TINY_BASE)
}

/** Writes an adapter's two files into a folder. */
export function writeAdapter(
  dir: string,
  { config, tensors }: AdapterFixture,
  name = 'peft_type' in config ? WEIGHT_FILES.peft : WEIGHT_FILES.adapterhub,
): string {
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'adapter_config.json'), JSON.stringify(config))
  writeSafetensors(join(dir, name), tensors, { format: 'pt' })
  return dir
}
