import type { ResidualKind } from '../core/branch.ts'
import { siteName } from '../core/branch.ts'
import { TroupeError } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import type { ModelInfo } from '../core/model-info.ts'
import type { SafetensorsFile } from '../safetensors/file.ts'
import type { BottleneckConfig, Location } from './adapterhub-config.ts'
import { bottleneckSize, readBottleneckConfig } from './adapterhub-config.ts'
import { checkFit, checkSites } from './base-fit.ts'
import type { BranchPlan } from './branch-plan.ts'

/** `model.layers.3.output_adapters.adapters.` and then the adapter's name; `transformer.h.3.` in GPT-2. */
const MODULE_KEY =
  /^(?:(?:model\.)?layers|(?:transformer\.)?h)\.(0|[1-9]\d*)\.(attention_adapters|output_adapters)\.adapters\.(.*)$/s

const PARTS = [
  'adapter_down.0.weight',
  'adapter_down.0.bias',
  'adapter_up.weight',
  'adapter_up.bias',
  'scaling',
] as const
type Part = (typeof PARTS)[number]

/** An AdapterHub bottleneck adapter read so far as it can be without its base model. */
export interface BottleneckAdapter {
  readonly config: BottleneckConfig
  readonly plans: readonly BranchPlan[]
}

/** Tensor names of one module. */
interface Module {
  readonly layer: number
  readonly location: Location
  readonly parts: Partial<Record<Part, string>>
}

/**
 * Reads configuration and tensor shapes of a bottleneck adapter (Houlsby et al. 2019, Pfeiffer et al. 2020, He et al. 2021).
 *
 * @throws TroupeError `invalid_adapter` or `unsupported_adapter` naming the field or tensor
 */
export function parseBottleneck(json: JsonObject, file: SafetensorsFile): BottleneckAdapter {
  const config = readBottleneckConfig(json)
  const modules = collectModules(config, file)
  if (modules.length === 0) {
    throw new TroupeError('invalid_adapter', `${file.file} holds no tensors`, { param: file.file })
  }
  return { config, plans: modules.map((module) => planModule(module, config, file)) }
}

/** Checks a bottleneck adapter against the base model it should act on; see `checkFit` and `checkSites`. */
export function checkBottleneck(adapter: BottleneckAdapter, info: ModelInfo): void {
  const { config, plans } = adapter
  const fields = [
    ['model_type', config.modelType, info.family],
    ['hidden_size', config.hidden, info.hidden],
  ] as const
  for (const [field, found, expected] of fields) {
    if (found === expected) continue
    const text = `adapter_config.json: "${field}" is ${JSON.stringify(found)}, the base model ${info.name} has ${JSON.stringify(expected)}`
    throw new TroupeError('base_mismatch', text, { param: field })
  }
  checkFit(plans, info)
  const expected = new Set<string>()
  for (let layer = 0; layer < info.layers; layer++) {
    if (config.leaveOut.includes(layer)) continue
    for (const kind of config.sites.values()) expected.add(siteName(layer, kind))
  }
  checkSites(plans, expected, info)
}

/** Every tensor of the file, grouped by module. */
function collectModules(config: BottleneckConfig, file: SafetensorsFile): Module[] {
  const modules = new Map<string, Module>()
  for (const name of [...file.tensors.keys()].sort()) {
    const match = MODULE_KEY.exec(name)
    if (match === null) {
      throw refusal(
        'unsupported_adapter',
        name,
        'is no part of a bottleneck adapter: another method, or a prediction head',
      )
    }
    const [, layer, location, rest] = match as unknown as [string, string, Location, string]
    if (!rest.startsWith(`${config.name}.`)) {
      throw refusal('invalid_adapter', name, `is not of the adapter "${config.name}" that adapter_config.json names`)
    }
    const part = PARTS.find((one) => rest.slice(config.name.length + 1) === one)
    if (part === undefined) {
      throw refusal('unsupported_adapter', name, 'belongs to a feature of bottleneck adapters that is not supported')
    }
    const key = `${layer}.${location}`
    const module = modules.get(key) ?? { layer: Number(layer), location, parts: {} }
    if (module.parts[part] !== undefined) {
      throw refusal('invalid_adapter', name, `is for the same place as "${module.parts[part]}"`)
    }
    module.parts[part] = name
    modules.set(key, module)
  }
  return [...modules.values()].sort((x, y) => x.layer - y.layer)
}

function planModule({ layer, location, parts }: Module, config: BottleneckConfig, file: SafetensorsFile): BranchPlan {
  const { hidden, scaling, activation } = config
  const where = `layer ${layer}, ${location}`
  const take = (part: Part): string => {
    const name = parts[part]
    if (name !== undefined) return name
    throw new TroupeError('invalid_adapter', `${file.file}: ${where} has no tensor ${part}`, { param: part })
  }
  const [down, a, up, c] = PARTS.slice(0, 4).map(take) as [string, string, string, string]
  const kind: ResidualKind | undefined = config.sites.get(location)
  if (kind === undefined || config.leaveOut.includes(layer)) {
    throw refusal('invalid_adapter', down, 'is for a place that adapter_config.json switches off')
  }
  const rank = bottleneckSize(config, layer)
  if (rank === null) {
    throw refusal('invalid_adapter', down, `is for layer ${layer}, for which "reduction_factor" gives no value`)
  }
  const inDim = file.entry(down).shape[1] ?? 0
  const outDim = file.entry(up).shape[0] ?? 0
  expectShape(file, down, [rank, inDim])
  expectShape(file, a, [rank])
  expectShape(file, up, [outDim, rank])
  expectShape(file, c, [outDim])
  if (inDim !== hidden || outDim !== hidden) {
    const tensor = inDim === hidden ? up : down
    throw refusal(
      'invalid_adapter',
      tensor,
      `is for ${tensor === up ? outDim : inDim} channels, "hidden_size" is ${hidden}`,
    )
  }
  const gain = typeof scaling === 'number' ? null : take('scaling')
  if (gain === null && parts.scaling !== undefined) {
    throw refusal('invalid_adapter', parts.scaling, `is there although "scaling" is the number ${scaling}`)
  }
  if (gain !== null) expectShape(file, gain, [scaling === 'learned' ? 1 : hidden])
  const scale = typeof scaling === 'number' ? scaling : 1
  return { layer, kind, rank, inDim, outDim, activation, scale, down, up, outputs: null, a, c, gain }
}

function expectShape(file: SafetensorsFile, name: string, expected: readonly number[]): void {
  const { shape } = file.entry(name)
  if (shape.length === expected.length && shape.every((size, i) => size === expected[i])) return
  const text = `is [${shape.join(', ')}], adapter_config.json gives [${expected.join(', ')}]`
  throw refusal('invalid_adapter', name, text)
}

function refusal(code: 'invalid_adapter' | 'unsupported_adapter', name: string, fault: string): TroupeError {
  return new TroupeError(code, `tensor "${name}" ${fault}`, { param: name })
}
