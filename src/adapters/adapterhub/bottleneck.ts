import type { ResidualKind } from '../../core/branch.ts'
import { siteName } from '../../core/branch.ts'
import { TroupeError } from '../../core/errors.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'
import { checkFit, checkSites } from '../base-fit.ts'
import type { ParsedAdapter } from '../parsed.ts'
import type { BranchPlan } from '../plan.ts'
import type { Values } from '../values.ts'
import { borrowFinite, expectShape, readFinite, tensorValues, transposedRows } from '../values.ts'
import type { BottleneckConfig, Location } from './bottleneck-config.ts'
import { bottleneckSize, readBottleneckConfig } from './bottleneck-config.ts'
import type { OuterConfig } from './outer-config.ts'
import { checkOuter } from './outer-config.ts'

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
export function parseBottleneck(outer: OuterConfig, file: SafetensorsFile): ParsedAdapter {
  const config = readBottleneckConfig(outer)
  const modules = collectModules(config, file)
  if (modules.length === 0) {
    throw new TroupeError('invalid_adapter', `${file.file} holds no tensors`, { param: file.file })
  }
  const branches = modules.map((module) => planModule(module, config, file))
  const values = branches.reduce((sum, { rank, inDim, outDim }) => sum + rank * (inDim + outDim + 1) + outDim, 0)
  return {
    method: 'bottleneck',
    baseModel: outer.baseModel,
    outlines: branches.map(({ layer, kind, rank }) => ({ layer, site: siteName(layer, kind), rank })),
    parameters: values,
    values,
    virtualTokens: 0,
    plan: (info) => {
      checkOuter(outer, info)
      checkFit(branches, info)
      const expected = new Set<string>()
      for (let layer = 0; layer < info.layers; layer++) {
        if (config.leaveOut.includes(layer)) continue
        for (const kind of config.sites.values()) expected.add(siteName(layer, kind))
      }
      const placements = branches.map(({ layer, kind, names }) => ({ layer, kind, tensor: names.down }))
      checkSites(placements, expected, info)
      return { branches, gains: [], virtualTokens: null, tokenRows: null }
    },
  }
}

/** Every tensor of the file, grouped by module. */
function collectModules({ outer }: BottleneckConfig, file: SafetensorsFile): Module[] {
  const { name: adapter } = outer
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
    if (!rest.startsWith(`${adapter}.`)) {
      throw refusal('invalid_adapter', name, `is not of the adapter "${adapter}" that adapter_config.json names`)
    }
    const part = PARTS.find((one) => rest.slice(adapter.length + 1) === one)
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
  const { outer, scaling, activation } = config
  const { hidden } = outer
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
    const width = tensor === up ? outDim : inDim
    throw refusal('invalid_adapter', tensor, `is for ${width} channels, "hidden_size" is ${hidden}`)
  }
  const factor = typeof scaling === 'number' ? null : take('scaling')
  if (factor === null && parts.scaling !== undefined) {
    throw refusal('invalid_adapter', parts.scaling, `is there although "scaling" is the number ${scaling}`)
  }
  if (factor !== null) expectShape(file, factor, [scaling === 'learned' ? 1 : hidden])
  const scaled = (values: Values): Values => (factor === null ? values : scaledBy(values, file, factor, outDim))
  const outputs = { first: 0, run: outDim, stride: outDim, times: 1 }
  return {
    layer,
    kind,
    rank,
    inDim,
    outDim,
    activation,
    scale: typeof scaling === 'number' ? scaling : 1,
    names: { down, up },
    down: tensorValues(file, down),
    up: scaled(transposedRows(() => borrowFinite(file, up), rank, outputs)),
    a: tensorValues(file, a),
    c: scaled(tensorValues(file, c)),
  }
}

/** Values `[…, outDim]`, times a learned scaling: one value or one per channel. */
function scaledBy(values: Values, file: SafetensorsFile, factor: string, outDim: number): Values {
  const fill = (into: Float32Array): void => {
    values.fill(into)
    const factors = readFinite(file, factor)
    for (let i = 0; i < into.length; i++) into[i]! *= factors[factors.length === 1 ? 0 : i % outDim]!
  }
  return { count: values.count, fill }
}

function refusal(code: 'invalid_adapter' | 'unsupported_adapter', name: string, fault: string): TroupeError {
  return new TroupeError(code, `tensor "${name}" ${fault}`, { param: name })
}
