import { closeSync, openSync, readFileSync, readSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { BaseWeights } from '../core/base-weights.ts'
import type { AdapterWeights, Method } from '../core/branch.ts'
import { isEdgeKind, siteName } from '../core/branch.ts'
import { TroupeError } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import { parseJsonObject } from '../core/json.ts'
import type { ModelInfo } from '../core/model-info.ts'
import type { SafetensorsFile } from '../safetensors/file.ts'
import { openSafetensors } from '../safetensors/file.ts'
import { parseAdapterHub } from './adapterhub/adapterhub.ts'
import { digestAdapter, sha256File } from './digest.ts'
import type { AdapterFormat } from './files.ts'
import { CONFIG_FILE, checkFormat, recogniseFiles } from './files.ts'
import type { Outline, ParsedAdapter } from './parsed.ts'
import { parsePeft } from './peft/peft.ts'
import { looksPickled, pickleRefusal } from './pickle.ts'
import type { AdapterPlan } from './plan.ts'
import { loadPlan } from './plan.ts'

/** What was found in an adapter's files. */
export interface AdapterDescription {
  readonly format: AdapterFormat
  readonly method: Method
  /** Largest rank of any site; 0 where there are gains or virtual tokens only. */
  readonly rank: number
  /** Names as of `siteName`, by layer. */
  readonly sites: readonly string[]
  /** How many stand before every prompt; they take room in the context. */
  readonly virtualTokens: number
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

/**
 * Reads the adapter in a folder for a base model: every tensor understood, every site in the base, every value finite.
 * Blocks while it reads; all values share one buffer that threads can be given without a copy.
 *
 * @param base the base model's weights, for adapters that are defined relative to them
 * @throws TroupeError `invalid_adapter`, `unsupported_adapter`, `pickle_refused` or `base_mismatch` naming the file, tensor or field
 */
export function readAdapter(
  dir: string,
  info: ModelInfo,
  base: BaseWeights,
): { readonly weights: AdapterWeights; readonly description: AdapterDescription } {
  return withAdapter(dir, ({ format, config, file, weightsPath }) => {
    const parsed = parse(format, config, file)
    const plan = parsed.plan(info, base)
    const loaded = loadPlan(plan)
    const description = { ...describe(format, parsed, outlinesOf(plan)), bytes: loaded.bytes }
    const digest = digestAdapter(format, config, sha256File(weightsPath))
    return { weights: { digest, method: parsed.method, ...loaded }, description }
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

/** The files of an adapter while they are open. */
export interface OpenAdapter {
  readonly format: AdapterFormat
  readonly config: JsonObject
  readonly file: SafetensorsFile
  readonly weightsPath: string
}

/** Opens the adapter in a folder while `use` runs. @throws TroupeError as `readAdapter`, for the files as such */
export function withAdapter<T>(dir: string, use: (adapter: OpenAdapter) => T): T {
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

function parse(format: AdapterFormat, config: JsonObject, file: SafetensorsFile): ParsedAdapter {
  return format === 'peft' ? parsePeft(config, file) : parseAdapterHub(config, file)
}

/** One outline per site: a branch and a gain at the same site are one. */
function outlinesOf({ branches, gains }: AdapterPlan): Outline[] {
  const outlines = new Map<string, Outline>()
  for (const { layer, kind } of gains)
    outlines.set(siteName(layer, kind), { layer, site: siteName(layer, kind), rank: 0 })
  for (const { layer, kind, rank } of branches) {
    const site = siteName(layer, kind)
    outlines.set(site, { layer: isEdgeKind(kind) ? -1 : layer, site, rank })
  }
  return [...outlines.values()]
}

function describe(
  format: AdapterFormat,
  { method, baseModel, parameters, values, virtualTokens }: ParsedAdapter,
  outlines: readonly Outline[],
): AdapterDescription {
  const inOrder = [...outlines].sort((x, y) => x.layer - y.layer)
  return {
    format,
    method,
    rank: Math.max(0, ...outlines.map(({ rank }) => rank)),
    sites: inOrder.map(({ site }) => site),
    virtualTokens,
    parameters,
    bytes: values * Float32Array.BYTES_PER_ELEMENT,
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
