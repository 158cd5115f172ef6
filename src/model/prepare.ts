import { join, resolve } from 'node:path'
import { homedir } from 'node:os'
import { TroupeError } from '../core/errors.ts'
import type { EdgeKind } from '../core/branch.ts'
import { RESIDUAL_KINDS } from '../core/branch.ts'
import type { ModelInfo, Precision } from '../core/model-info.ts'
import { modelName } from '../core/model-name.ts'
import type { Architecture } from './architecture.ts'
import { planFormats } from './block-format.ts'
import type { Checkpoint } from './checkpoint.ts'
import { openCheckpoint } from './checkpoint.ts'
import { checkCoverage } from './coverage.ts'
import { readArchitecture } from './families/families.ts'
import { FingerprintCache, fingerprintCheckpoint } from './fingerprint.ts'
import { linearDims, planLayout } from './layout.ts'
import { packedWeights } from './packed/packed-weights.ts'
import { pickPrecision } from './pick-precision.ts'
import type { PreparedManifest, PreparedModel } from './prepared.ts'
import { findPrepared, publishPrepared } from './prepared-cache.ts'
import { WeightsWriter } from './weights-writer.ts'

/** Part of the cache key: raised whenever the same checkpoint would be prepared to other bytes or described in other words. */
const PREPARATION = 7

export interface PrepareOptions {
  /** Hugging Face model folder. */
  readonly modelDir: string
  readonly precision: Precision | 'auto'
  readonly cacheDir: string
  /** What clients call the model; default: the name of its folder. */
  readonly name?: string
  /** Bytes done of bytes in total, and the tensor at hand. Not called when everything was cached. */
  readonly onProgress?: (done: number, total: number, what: string) => void
}

/** `$TROUPE_CACHE`, else `troupe` in `$XDG_CACHE_HOME` or `~/.cache`. */
export function defaultCacheDir(env: Readonly<Record<string, string | undefined>> = process.env): string {
  return env['TROUPE_CACHE'] || join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'troupe')
}

/**
 * Turns a checkpoint into a prepared model, or finds the one prepared before from the same configuration and weights.
 * The on-disk manifest keeps the name given first; the returned one has this call's.
 *
 * @throws TroupeError `invalid_model` when the checkpoint cannot be served, `storage_error` when the cache cannot be written
 */
export async function prepareModel(options: PrepareOptions): Promise<PreparedModel> {
  const checkpoint = openCheckpoint(options.modelDir)
  try {
    return await prepareCheckpoint(checkpoint, options)
  } finally {
    checkpoint.close()
  }
}

async function prepareCheckpoint(checkpoint: Checkpoint, options: PrepareOptions): Promise<PreparedModel> {
  const architecture = readArchitecture(checkpoint.config)
  const packed = packedWeights(checkpoint, architecture.modules)
  checkCoverage(checkpoint, architecture, packed)
  const precision = pickPrecision(options.precision, architecture, packed)
  const formats = planFormats(architecture, precision, packed)
  const layout = planLayout(architecture, formats)

  const remembered = new FingerprintCache(options.cacheDir, checkpoint)
  const known = await remembered.read()
  const hashBytes =
    known === null ? checkpoint.tensorNames.reduce((sum, name) => sum + checkpoint.entry(name).bytes, 0) : 0
  let done = 0
  const advance = (bytes: number, what: string): void => {
    done += bytes
    options.onProgress?.(done, hashBytes + layout.bytes, what)
  }
  const fingerprint = known ?? (await fingerprintCheckpoint(checkpoint, (bytes) => advance(bytes, 'fingerprint')))

  const info = describe(options.name ?? modelName(resolve(options.modelDir)), fingerprint, precision, architecture)
  const manifest: PreparedManifest = { format: 3, info, architecture, tensors: layout.tensors }
  const dir = join(options.cacheDir, `${fingerprint.slice('sha256:'.length, 39)}-${precision}-${PREPARATION}`)
  try {
    if (known === null) await remembered.write(fingerprint)
    if (!(await findPrepared(dir, manifest, layout.bytes))) {
      await publishPrepared(dir, manifest, layout.bytes, (file) =>
        new WeightsWriter(checkpoint, architecture, packed, layout, formats, file, advance).writeAll(),
      )
    }
  } catch (cause) {
    if (cause instanceof TroupeError) throw cause
    const detail = cause instanceof Error ? cause.message : String(cause)
    throw new TroupeError('storage_error', `the model cache ${options.cacheDir} cannot be written: ${detail}`, {
      cause,
    })
  }
  return { dir, manifest }
}

function describe(name: string, fingerprint: string, precision: Precision, architecture: Architecture): ModelInfo {
  const { family, layers, hidden, heads, kvHeads, headDim, vocab, maxContext, modules, names } = architecture
  const { residual, residualScale, embedScale, logitScale, logitSoftcap, attention, longRope } = architecture
  // Where the libraries put a bottleneck module is settled only for layers that add what a sublayer returned as it is.
  const chained = residual === 'sequential' && residualScale === 1 && names.attnPostNorm === undefined
  const edges: EdgeKind[] = []
  if (embedScale === 1) edges.push('embed_tokens')
  if (logitScale === 1 && logitSoftcap === null) edges.push('lm_head')
  const sizes = { layers, hidden, heads, kvHeads, headDim, vocab, maxContext }
  return {
    name,
    family,
    fingerprint,
    precision,
    ...sizes,
    linear: linearDims(architecture),
    residual: chained ? RESIDUAL_KINDS : [],
    modules,
    basePrefix: names.basePrefix,
    ...(names.within === undefined ? {} : { within: names.within }),
    ...(names.otherParts === undefined ? {} : { otherParts: names.otherParts }),
    edges,
    longRope: longRope !== null,
    windowed: attention.windows.some((window) => window !== null),
    otherModules: (
      [
        [names.embed, 'embed_tokens'],
        [names.positions, null],
        [names.head, 'lm_head'],
      ] as const
    ).flatMap(([tensor, kind]) => (tensor === undefined ? [] : [{ path: tensor.replace(/\.weight$/, ''), kind }])),
  }
}
