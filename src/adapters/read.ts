import type { BaseWeights } from '../core/base-weights.ts'
import type { AdapterWeights, Method } from '../core/branch.ts'
import { isEdgeKind, siteName } from '../core/branch.ts'
import type { JsonObject } from '../core/json.ts'
import type { ModelInfo } from '../core/model-info.ts'
import type { OwnTokens } from '../core/own-tokens.ts'
import type { SafetensorsFile } from '../safetensors/file.ts'
import { parseAdapterHub } from './adapterhub/adapterhub.ts'
import { digestAdapter, sha256Open } from './digest.ts'
import type { AdapterFormat } from './files.ts'
import type { OpenAdapter } from './open.ts'
import { parseMlx } from './mlx/mlx.ts'
import { openAdapter, withAdapter } from './open.ts'
import { ownTokens } from './own-tokens.ts'
import type { Outline, ParsedAdapter } from './parsed.ts'
import { parsePeft } from './peft/peft.ts'
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
  /** Tokens of its own; null = those of the base model. */
  readonly tokens: OwnTokens | null
  /** What the files say they were trained on; only ever a hint. */
  readonly baseModel: string | null
  /** What whoever serves it should know. */
  readonly warnings: readonly string[]
}

/** An adapter's files as a person may want to see them, without a base model to check them against. */
export interface AdapterInspection {
  readonly description: AdapterDescription
  readonly digest: string
  readonly config: JsonObject
  readonly tensors: readonly { readonly name: string; readonly dtype: string; readonly shape: readonly number[] }[]
}

export interface ReadAdapter {
  readonly weights: AdapterWeights
  readonly description: AdapterDescription
}

/**
 * Reads the adapter in a folder for a base model: every tensor understood, every site in the base, every value finite.
 * Blocks while it reads; all values share one buffer that threads can be given without a copy.
 *
 * @param base the base model's weights, for adapters that are defined relative to them
 * @throws TroupeError `invalid_adapter`, `unsupported_adapter`, `pickle_refused` or `base_mismatch` naming the file, tensor or field
 */
export function readAdapter(dir: string, info: ModelInfo, base: BaseWeights): ReadAdapter {
  return withAdapter(dir, (opened) => identified(opened, load(opened, info, base, null), sha256Open(opened.fd)))
}

/** What others do or leave for a reading of an adapter. */
export interface ReadingHelp {
  /** Gives the sha256 of an open file, in hex. */
  readonly hash: (fd: number) => Promise<string>
  /** Takes the values, if it is exactly as large. */
  readonly memory: SharedArrayBuffer | null
}

/**
 * The same while somebody else hashes the file of weights, the same open one: that takes as long as all the rest.
 *
 * @throws TroupeError as `readAdapter`, and what `hash` rejects with
 */
export async function readAdapterBeside(
  dir: string,
  info: ModelInfo,
  base: BaseWeights,
  { hash, memory }: ReadingHelp,
): Promise<ReadAdapter> {
  const opened = openAdapter(dir)
  const hashing = hash(opened.fd)
  try {
    return identified(opened, load(opened, info, base, memory), await hashing)
  } finally {
    // The number of a closed file may become another file's.
    await Promise.allSettled([hashing])
    opened.file.close()
  }
}

/**
 * Reads what can be said about the adapter in a folder without its base model.
 *
 * @throws TroupeError as `readAdapter`
 */
export function inspectAdapter(dir: string): AdapterInspection {
  return withAdapter(dir, ({ format, config, tokens, file, fd }) => {
    const parsed = parse(format, config, file)
    return {
      description: describe(format, parsed, parsed.outlines),
      digest: digestAdapter(format, config, sha256Open(fd), tokens),
      config,
      tensors: [...file.tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
    }
  })
}

type Loaded = Omit<AdapterWeights, 'digest'> & { readonly description: AdapterDescription }

function load(
  { format, config, tokens: found, file }: OpenAdapter,
  info: ModelInfo,
  base: BaseWeights,
  memory: SharedArrayBuffer | null,
): Loaded {
  const parsed = parse(format, config, file)
  const plan = parsed.plan(info, base)
  const loaded = loadPlan(plan, memory)
  const own = ownTokens(found, info.vocab, plan.tokenRows)
  const described = describe(format, parsed, outlinesOf(plan))
  const warnings = [...described.warnings, ...own.warnings]
  const description = { ...described, bytes: loaded.bytes, tokens: own.tokens, warnings }
  return { method: parsed.method, ...loaded, description }
}

function identified(
  { format, config, tokens }: OpenAdapter,
  { description, ...loaded }: Loaded,
  sha256: string,
): ReadAdapter {
  return { weights: { digest: digestAdapter(format, config, sha256, tokens), ...loaded }, description }
}

const PARSERS: Readonly<Record<AdapterFormat, (config: JsonObject, file: SafetensorsFile) => ParsedAdapter>> = {
  peft: parsePeft,
  adapterhub: parseAdapterHub,
  mlx: parseMlx,
}

function parse(format: AdapterFormat, config: JsonObject, file: SafetensorsFile): ParsedAdapter {
  return PARSERS[format](config, file)
}

/** One outline per site: a branch and a gain at the same site are one. */
function outlinesOf({ branches, gains, tokenRows }: AdapterPlan): Outline[] {
  const outlines = new Map<string, Outline>()
  for (const { layer, kind } of gains)
    outlines.set(siteName(layer, kind), { layer, site: siteName(layer, kind), rank: 0 })
  const edges = [tokenRows?.embed && 'embed_tokens', tokenRows?.head && 'lm_head'] as const
  for (const site of edges) if (site) outlines.set(site, { layer: -1, site, rank: 0 })
  for (const { layer, kind, rank } of branches) {
    const site = siteName(layer, kind)
    outlines.set(site, { layer: isEdgeKind(kind) ? -1 : layer, site, rank })
  }
  return [...outlines.values()]
}

function describe(
  format: AdapterFormat,
  { method, baseModel, parameters, values, virtualTokens, warnings = [] }: ParsedAdapter,
  outlines: readonly Outline[],
): AdapterDescription {
  const inOrder = [...outlines].sort((x, y) => x.layer - y.layer)
  return {
    format,
    method,
    rank: Math.max(0, ...outlines.map(({ rank }) => rank)),
    sites: inOrder.map(({ site }) => site),
    virtualTokens,
    tokens: null,
    parameters,
    bytes: values * Float32Array.BYTES_PER_ELEMENT,
    baseModel,
    warnings,
  }
}
