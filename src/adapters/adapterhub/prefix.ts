import { TroupeError } from '../../core/errors.ts'
import type { ModelInfo } from '../../core/model-info.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'
import { checkFields, readFlag, readRank } from '../config-fields.ts'
import type { KeyValueSizes } from '../key-values.ts'
import { planKeysValues } from '../key-values.ts'
import type { ParsedAdapter } from '../parsed.ts'
import { expectShape, readFinite } from '../values.ts'
import { readScalarActivation } from './activations.ts'
import type { OuterConfig } from './outer-config.ts'
import { checkOuter } from './outer-config.ts'

const RULES = {
  read: ['architecture', 'bottleneck_size', 'flat', 'non_linearity', 'prefix_length'],
  // Prefixes of encoders and of attention to them: there are none in these models. A gate that is off is not shared.
  ignored: ['cross_prefix', 'dropout', 'encoder_prefix', 'init_weights_seed', 'shared_gating'],
  // use_gating must be off, and leave_out empty: a layer has the prefix or the cache could not begin at the same token.
  allowed: {},
  reasons: { leave_out: 'every layer must have the prefix' },
}

const FLAT = ['control_trans'] as const
const NETWORK = [
  'wte.weight',
  'control_trans.0.weight',
  'control_trans.0.bias',
  'control_trans.2.weight',
  'control_trans.2.bias',
] as const
type Part = (typeof FLAT | typeof NETWORK)[number]

type Phi = (x: number) => number

/**
 * Reads a prefix tuning of AdapterHub (Li and Liang 2021): keys and values of every layer, as they are or as what a small network gives for
 * a table of vectors, W₂ φ(W₁ e + b₁) + b₂, which is evaluated here once. The library adds the prefix inside of attention: the prompt's
 * positions begin at 0.
 *
 * @throws TroupeError `invalid_adapter` or `unsupported_adapter` naming the field or tensor
 */
export function parsePrefix(outer: OuterConfig, file: SafetensorsFile): ParsedAdapter {
  const { inner } = outer
  checkFields(inner, RULES)
  const count = readRank('prefix_length', inner['prefix_length'])
  const flat = readFlag('flat', inner['flat'])
  const bottleneck = flat ? 0 : readRank('bottleneck_size', inner['bottleneck_size'])
  const phi = flat ? null : readScalarActivation(inner['non_linearity'])
  const copies = collectCopies(outer, flat ? FLAT : NETWORK, file)
  const first = copies[0]!
  const last = file.entry(flat ? first.control_trans! : first['control_trans.2.bias']!).shape
  const values = (last[0] ?? 0) * (flat ? 1 : count)
  const parameters = Object.values(first).reduce((sum, name) => {
    return sum + file.entry(name).shape.reduce((product, size) => product * size, 1)
  }, 0)
  const checkShapes = ({ layers, kvHeads, headDim, hidden }: KeyValueSizes & Pick<ModelInfo, 'hidden'>): void => {
    const width = layers * 2 * kvHeads * headDim
    if (flat) {
      expectWidth(file, first.control_trans!, count * width)
      return
    }
    expectShape(file, first['wte.weight']!, [count, hidden])
    expectShape(file, first['control_trans.0.weight']!, [bottleneck, hidden])
    expectShape(file, first['control_trans.0.bias']!, [bottleneck])
    expectWidth(file, first['control_trans.2.bias']!, width)
    expectShape(file, first['control_trans.2.weight']!, [width, bottleneck])
  }
  return {
    method: 'prefix_tuning',
    baseModel: outer.baseModel,
    outlines: [],
    parameters,
    values,
    virtualTokens: count,
    plan: (info) => {
      checkOuter(outer, info)
      if (info.windowed) throw windowed(info)
      checkShapes(info)
      checkCopies(copies, file)
      const read = phi === null ? () => readFinite(file, first.control_trans!) : () => evaluate(first, phi, file)
      return { branches: [], gains: [], virtualTokens: planKeysValues(read, count, info, false), tokenRows: null }
    },
  }
}

/** A layer with a window would lose sight of the prefix, which the library keeps in sight. */
function windowed({ name }: ModelInfo): TroupeError {
  const text = `adapter_config.json: "architecture" is "prefix_tuning", but layers of the base model ${name} attend to the latest tokens only; train the prefix with PEFT`
  return new TroupeError('unsupported_adapter', text, { param: 'architecture' })
}

type Copy = Readonly<Partial<Record<Part, string>>>

/** The library saves a prefix under the name of its pool and again under that of every layer. */
function collectCopies({ name: adapter }: OuterConfig, parts: readonly Part[], file: SafetensorsFile): Copy[] {
  const copies = new Map<string, Partial<Record<Part, string>>>()
  for (const name of [...file.tensors.keys()].sort()) {
    const match = /^(.*prefix_tuning(?:\.pool)?)\.prefix_tunings\.(.+)\.self_prefix\.(.+)$/s.exec(name)
    if (match === null) {
      throw refusal(
        'unsupported_adapter',
        name,
        'is no part of a prefix of a decoder: another method, or a prediction head',
      )
    }
    const [, place, owner, rest] = match as unknown as [string, string, string, string]
    if (owner !== adapter) {
      throw refusal('invalid_adapter', name, `is not of the adapter "${adapter}" that adapter_config.json names`)
    }
    const part = parts.find((one) => one === rest)
    if (part === undefined) {
      throw refusal('invalid_adapter', name, `is no part of a prefix with "flat": ${parts.length === 1}`)
    }
    copies.set(place, { ...copies.get(place), [part]: name })
  }
  if (copies.size === 0) throw new TroupeError('invalid_adapter', `${file.file} holds no tensors`, { param: file.file })
  for (const [place, copy] of copies) {
    const missing = parts.find((part) => copy[part] === undefined)
    if (missing === undefined) continue
    const text = `${file.file}: the prefix at ${place} has no tensor ${missing}`
    throw new TroupeError('invalid_adapter', text, { param: missing })
  }
  return [...copies.values()]
}

function checkCopies([first, ...others]: readonly Copy[], file: SafetensorsFile): void {
  for (const [part, name] of Object.entries(first!) as [Part, string][]) {
    const values = readFinite(file, name)
    for (const other of others) {
      const copy = readFinite(file, other[part]!)
      if (copy.length === values.length && copy.every((value, i) => value === values[i])) continue
      throw refusal('invalid_adapter', other[part]!, `differs from "${name}", of which it should be a copy`)
    }
  }
}

/** `[count, width]`: what the network gives for every row of its table. */
function evaluate(parts: Copy, phi: Phi, file: SafetensorsFile): Float32Array {
  const [table, w1, b1, w2, b2] = NETWORK.map((part) => readFinite(file, parts[part]!)) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ]
  const hidden = w1.length / b1.length
  const count = table.length / hidden
  const out = new Float32Array(count * b2.length)
  for (let token = 0; token < count; token++) {
    const inner = affine(w1, b1, table.subarray(token * hidden, (token + 1) * hidden)).map(phi)
    out.set(affine(w2, b2, inner), token * b2.length)
  }
  return out
}

/** W x + b in f64. */
function affine(weight: Float32Array, bias: Float32Array, x: Float32Array | Float64Array): Float64Array {
  return Float64Array.from(bias, (start, row) => {
    let sum = start
    for (let i = 0; i < x.length; i++) sum += weight[row * x.length + i]! * x[i]!
    return sum
  })
}

function expectWidth(file: SafetensorsFile, name: string, expected: number): void {
  const { shape } = file.entry(name)
  if (shape.length === 1 && shape[0] === expected) return
  throw refusal('base_mismatch', name, `is [${shape.join(', ')}], keys and values of the base model take [${expected}]`)
}

function refusal(
  code: 'invalid_adapter' | 'unsupported_adapter' | 'base_mismatch',
  name: string,
  fault: string,
): TroupeError {
  return new TroupeError(code, `tensor "${name}" ${fault}`, { param: name })
}
