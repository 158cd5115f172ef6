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
import { checkPeft, parsePeft } from './peft.ts'
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

/** Both formats after parsing: what they have in common. */
interface Parsed {
  readonly plans: readonly BranchPlan[]
  readonly method: Method
  readonly baseModel: string | null
  readonly check: (info: ModelInfo) => void
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
    parsed.check(info)
    const branches = loadBranches(parsed.plans, file)
    const description = describe(format, parsed)
    const digest = digestAdapter(format, config, sha256File(weightsPath))
    return { weights: { digest, method: parsed.method, branches, bytes: description.bytes }, description }
  })
}

/**
 * Reads what can be said about the adapter in a folder without its base model.
 *
 * @throws TroupeError as `readAdapter`
 */
export function inspectAdapter(dir: string): AdapterInspection {
  return withAdapter(dir, ({ format, config, file, weightsPath }) => ({
    description: describe(format, parse(format, config, file)),
    digest: digestAdapter(format, config, sha256File(weightsPath)),
    config,
    tensors: [...file.tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
  }))
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
    const { plans } = adapter
    return { plans, method: 'lora', baseModel: adapter.config.baseModel, check: (info) => checkPeft(adapter, info) }
  }
  const adapter = parseBottleneck(config, file)
  const { plans } = adapter
  return {
    plans,
    method: 'bottleneck',
    baseModel: adapter.config.baseModel,
    check: (info) => checkBottleneck(adapter, info),
  }
}

function describe(format: AdapterFormat, { plans, method, baseModel }: Parsed): AdapterDescription {
  const parameters = countParameters(plans)
  const inOrder = [...plans].sort((x, y) => x.layer - y.layer)
  return {
    format,
    method,
    rank: Math.max(...plans.map((plan) => plan.rank)),
    sites: inOrder.map((plan) => siteName(plan.layer, plan.kind)),
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
