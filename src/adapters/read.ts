import { closeSync, openSync, readFileSync, readSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { AdapterWeights, Method } from '../core/branch.ts'
import { siteName } from '../core/branch.ts'
import { TroupeError } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import { parseJsonObject } from '../core/json.ts'
import type { ModelInfo } from '../core/model-info.ts'
import type { SafetensorsFile } from '../safetensors/file.ts'
import { openSafetensors } from '../safetensors/file.ts'
import { checkBottleneck, parseBottleneck } from './adapterhub.ts'
import type { BranchPlan } from './branch-plan.ts'
import { countParameters, loadBranches } from './branch-plan.ts'
import { digestAdapter, sha256File } from './digest.ts'
import type { AdapterFormat } from './files.ts'
import { CONFIG_FILE, checkFormat, recogniseFiles } from './files.ts'
import { parsePeft, planPeft } from './peft.ts'
import { looksPickled, pickleRefusal } from './pickle.ts'

/** What was found in an adapter's files. */
export interface AdapterDescription {
  readonly format: AdapterFormat
  readonly method: Method
  /** Largest rank of any site. */
  readonly rank: number
  /** Names as of `siteName`, by layer. */
  readonly sites: readonly string[]
  /** Values in all tensors that act. */
  readonly parameters: number
  /** Bytes in the memory tier. */
  readonly bytes: number
  /** What the files say they were trained on; only ever a hint. */
  readonly baseModel: string | null
}

/** An adapter's files as a person may want to see them, without a base model to check them against. */
export interface AdapterInspection {
  readonly description: AdapterDescription
  readonly digest: string
  readonly config: JsonObject
  readonly tensors: readonly { readonly name: string; readonly dtype: string; readonly shape: readonly number[] }[]
}

/** What the description needs to know of a module. */
interface Outline {
  readonly layer: number
  readonly site: string
  readonly rank: number
}

/** Both formats after parsing: what they have in common. */
interface Parsed {
  readonly method: Method
  readonly baseModel: string | null
  /** The modules under the names the files give them. */
  readonly outlines: readonly Outline[]
  readonly parameters: number
  /** The branches in a base model; throws when they do not fit. */
  readonly plan: (info: ModelInfo) => readonly BranchPlan[]
}

/**
 * Reads the adapter in a folder for a base model: every tensor understood, every site in the base, every value finite.
 * Blocks while it reads; the branches share one buffer that threads can be given without a copy.
 *
 * @throws TroupeError `invalid_adapter`, `unsupported_adapter`, `pickle_refused` or `base_mismatch` naming the file, tensor or field
 */
export function readAdapter(
  dir: string,
  info: ModelInfo,
): { readonly weights: AdapterWeights; readonly description: AdapterDescription } {
  return withAdapter(dir, ({ format, config, file, weightsPath }) => {
    const parsed = parse(format, config, file)
    const plans = parsed.plan(info)
    const branches = loadBranches(plans, file)
    const description = describe(format, parsed, plans.map(outlineOf))
    const digest = digestAdapter(format, config, sha256File(weightsPath))
    const values = { branches, gains: [], virtualTokens: null }
    return { weights: { digest, method: parsed.method, ...values, bytes: description.bytes }, description }
  })
}

/**
 * Reads what can be said about the adapter in a folder without its base model.
 *
 * @throws TroupeError as `readAdapter`
 */
export function inspectAdapter(dir: string): AdapterInspection {
  return withAdapter(dir, ({ format, config, file, weightsPath }) => {
    const parsed = parse(format, config, file)
    return {
      description: describe(format, parsed, parsed.outlines),
      digest: digestAdapter(format, config, sha256File(weightsPath)),
      config,
      tensors: [...file.tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
    }
  })
}

interface OpenAdapter {
  readonly format: AdapterFormat
  readonly config: JsonObject
  readonly file: SafetensorsFile
  readonly weightsPath: string
}

function withAdapter<T>(dir: string, use: (adapter: OpenAdapter) => T): T {
  const { format, weights } = recogniseFiles(attempt(dir, () => readdirSync(dir)))
  const text = attempt(CONFIG_FILE, () => readFileSync(join(dir, CONFIG_FILE), 'utf8'))
  const config = parseJsonObject(text, CONFIG_FILE, 'invalid_adapter')
  checkFormat(format, config)
  const weightsPath = join(dir, weights)
  const file = openWeights(weightsPath, weights)
  try {
    return use({ format, config, file, weightsPath })
  } finally {
    file.close()
  }
}

/** Opens the weights; a pickle under the name of a safetensors file gets the refusal that says so. */
function openWeights(path: string, name: string): SafetensorsFile {
  const head = new Uint8Array(9)
  attempt(name, () => {
    const fd = openSync(path, 'r')
    try {
      readSync(fd, head)
    } finally {
      closeSync(fd)
    }
  })
  if (looksPickled(head)) throw pickleRefusal(name, `converted/${name}`)
  return openSafetensors(path, 'invalid_adapter', name)
}

function parse(format: AdapterFormat, config: JsonObject, file: SafetensorsFile): Parsed {
  if (format === 'peft') {
    const adapter = parsePeft(config, file)
    const { modules } = adapter
    return {
      method: 'lora',
      baseModel: adapter.config.baseModel,
      outlines: modules.map(({ path, rank }) => ({ ...placeOf(path), rank })),
      parameters: modules.reduce((sum, { rank, inDim, outDim }) => sum + rank * (inDim + outDim), 0),
      plan: (info) => planPeft(adapter, info),
    }
  }
  const adapter = parseBottleneck(config, file)
  const { plans } = adapter
  return {
    method: 'bottleneck',
    baseModel: adapter.config.baseModel,
    outlines: plans.map(outlineOf),
    parameters: countParameters(plans),
    plan: (info) => {
      checkBottleneck(adapter, info)
      return plans
    },
  }
}

function outlineOf({ layer, kind, rank }: BranchPlan): Outline {
  return { layer, site: siteName(layer, kind), rank }
}

/** `model.layers.3.self_attn.q_proj` is `layers.3.q_proj`, whatever the family; what is in no layer comes first under its whole path. */
function placeOf(path: string): { layer: number; site: string } {
  const match = /\.(\d+)\..*?([^.]+)$/.exec(path)
  if (match === null) return { layer: -1, site: path }
  return { layer: Number(match[1]), site: `layers.${match[1]}.${match[2]}` }
}

function describe(
  format: AdapterFormat,
  { method, baseModel, parameters }: Parsed,
  outlines: readonly Outline[],
): AdapterDescription {
  const inOrder = [...outlines].sort((x, y) => x.layer - y.layer)
  return {
    format,
    method,
    rank: Math.max(...outlines.map(({ rank }) => rank)),
    sites: inOrder.map(({ site }) => site),
    parameters,
    bytes: parameters * 4,
    baseModel,
  }
}

function attempt<T>(file: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause)
    throw new TroupeError('invalid_adapter', `${file} cannot be read: ${detail}`, { param: file, cause })
  }
}
