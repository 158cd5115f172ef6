import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Shapes } from './shapes.ts'
import { LINEAR, SHAPES, linearShapes } from './shapes.ts'
import type { PlannedTensor } from './tensor-file.ts'
import { writeNoise } from './tensor-file.ts'

const ALL_LINEAR = LINEAR.map(({ name }) => name)
const QUERY_VALUE = ['q_proj', 'v_proj']
const REDUCTION = 16

/** The families of synthetic adapters; files are f32, as the libraries save them. */
const KINDS = {
  'rank-16': { rank: 16, modules: ALL_LINEAR },
  'rank-8': { rank: 8, modules: ALL_LINEAR },
  'query-value': { rank: 16, modules: QUERY_VALUE },
  bottleneck: null,
} as const
export type AdapterKind = keyof typeof KINDS

/** An adapter by its family and number; the number is its seed. */
export function adapterName(kind: AdapterKind, index: number): string {
  return `${kind}-${index}`
}

/** Writes one adapter as its library saves it, unless it is there. @returns its folder */
export function writeAdapter(parent: string, kind: AdapterKind, index: number, shapes: Shapes = SHAPES): string {
  const dir = join(parent, adapterName(kind, index))
  const plan = KINDS[kind]
  const weights = join(dir, plan === null ? 'adapter.safetensors' : 'adapter_model.safetensors')
  if (existsSync(weights)) return dir
  mkdirSync(dir, { recursive: true })
  const config = plan === null ? bottleneckConfig(shapes) : loraConfig(plan.rank, plan.modules)
  writeFileSync(join(dir, 'adapter_config.json'), JSON.stringify(config, null, 2))
  const tensors = plan === null ? bottleneckTensors(shapes) : loraTensors(plan.rank, plan.modules, shapes)
  writeNoise(weights, tensors, { dtype: 'F32', seed: 1_000 * Object.keys(KINDS).indexOf(kind) + index + 2 })
  return dir
}

function loraConfig(rank: number, modules: readonly string[]): object {
  return {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: 'synthetic',
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: 2 * rank,
    lora_dropout: 0,
    modules_to_save: null,
    r: rank,
    target_modules: modules,
    use_dora: false,
    use_rslora: false,
  }
}

function loraTensors(rank: number, modules: readonly string[], shapes: Shapes): PlannedTensor[] {
  return layersOf(shapes, (layer) =>
    linearShapes(shapes)
      .filter(({ name }) => modules.includes(name))
      .flatMap(({ name, block, inDim, outDim }) => {
        const prefix = `base_model.model.model.layers.${layer}.${block}.${name}`
        return [
          { name: `${prefix}.lora_A.weight`, shape: [rank, inDim], deviation: 1 / Math.sqrt(inDim) },
          { name: `${prefix}.lora_B.weight`, shape: [outDim, rank], deviation: 0.02 },
        ]
      }),
  )
}

function bottleneckConfig({ hidden }: Shapes): object {
  return {
    config: {
      adapter_residual_before_ln: false,
      cross_adapter: false,
      dropout: 0,
      inv_adapter: null,
      is_parallel: false,
      leave_out: [],
      ln_after: false,
      ln_before: false,
      mh_adapter: true,
      non_linearity: 'relu',
      original_ln_after: true,
      original_ln_before: false,
      output_adapter: true,
      phm_layer: false,
      reduction_factor: REDUCTION,
      residual_before_ln: true,
      scaling: 1,
      use_gating: false,
    },
    hidden_size: hidden,
    model_class: 'LlamaForCausalLM',
    model_name: 'synthetic',
    model_type: 'llama',
    name: 'bench',
    version: 'adapters.1.3.0',
  }
}

function bottleneckTensors(shapes: Shapes): PlannedTensor[] {
  const { hidden } = shapes
  const size = hidden / REDUCTION
  return layersOf(shapes, (layer) =>
    ['attention_adapters', 'output_adapters'].flatMap((place) => {
      const prefix = `model.layers.${layer}.${place}.adapters.bench`
      const deviation = 1 / Math.sqrt(hidden)
      return [
        { name: `${prefix}.adapter_down.0.weight`, shape: [size, hidden], deviation },
        { name: `${prefix}.adapter_down.0.bias`, shape: [size], deviation },
        { name: `${prefix}.adapter_up.weight`, shape: [hidden, size], deviation },
        { name: `${prefix}.adapter_up.bias`, shape: [hidden], deviation },
      ]
    }),
  )
}

function layersOf({ layers }: Shapes, plan: (layer: number) => PlannedTensor[]): PlannedTensor[] {
  return Array.from({ length: layers }, (_, layer) => plan(layer)).flat()
}
