import { join, resolve } from 'node:path'
import { homedir } from 'node:os'
import { TroupeError, messageOf } from '../core/errors.ts'
import type { EdgeKind } from '../core/branch.ts'
import { RESIDUAL_KINDS } from '../core/branch.ts'
import type { ModelInfo, Precision } from '../core/model-info.ts'
import { modelName } from '../core/model-name.ts'
import type { Architecture } from './architecture.ts'
import type { Checkpoint } from './checkpoint.ts'
import { openCheckpoint } from './checkpoint.ts'
import { checkDisk, planDisk } from './disk-plan.ts'
import { FingerprintCache, fingerprintCheckpoint } from './fingerprint.ts'
import type { Layout } from './layout.ts'
import { linearDims } from './layout.ts'
import { planModel } from './model-plan.ts'
import type { PreparedManifest, PreparedModel } from './prepared.ts'
import { folderName } from './prepared.ts'
import { findPrepared, publishPrepared } from './prepared-cache.ts'
import { WeightsWriter } from './weights-writer.ts'

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
  const { architecture, packed, precision, formats, layout } = planModel(checkpoint, options.precision)
  const remembered = new FingerprintCache(options.cacheDir, checkpoint)
  const known = await remembered.read()
  checkDisk(await planDisk(options.cacheDir, { fingerprint: known, precision }, layout.bytes))
  const hashBytes =
    known === null ? checkpoint.tensorNames.reduce((sum, name) => sum + checkpoint.entry(name).bytes, 0) : 0
  let done = 0
  const advance = (bytes: number, what: string): void => {
    done += bytes
    options.onProgress?.(done, hashBytes + layout.bytes, what)
  }
  const fingerprint = known ?? (await fingerprintCheckpoint(checkpoint, (bytes) => advance(bytes, 'fingerprint')))

  const info = describe(options.name ?? modelName(resolve(options.modelDir)), fingerprint, precision, architecture)
  const manifest: PreparedManifest = { format: 4, info, architecture, tensors: layout.tensors, digests: {} }
  const dir = join(options.cacheDir, folderName({ fingerprint, precision }))
  try {
    if (known === null) await remembered.write(fingerprint)
    let found = await findPrepared(dir, manifest, layout.bytes)
    if (found === null) {
      const writer = new WeightsWriter(checkpoint, architecture, packed, layout, formats, advance)
      const total = hashBytes + layout.bytes
      const onKept = (group: string): void => advance(groupBytes(layout, group), group)
      const onWait = (pid: number): void =>
        options.onProgress?.(done, total, `process ${pid}, which prepares the same model`)
      try {
        found = await publishPrepared(dir, manifest, layout.bytes, writer, { onKept, onWait })
      } finally {
        await writer.close()
      }
    }
    return { dir, manifest: { ...manifest, digests: found.digests } }
  } catch (cause) {
    if (cause instanceof TroupeError) throw cause
    throw new TroupeError(
      'storage_error',
      `the model cache ${options.cacheDir} cannot be written: ${messageOf(cause)}`,
      { cause },
    )
  }
}

/** Bytes of the tensors that are written together. */
function groupBytes({ tensors }: Layout, group: string): number {
  const isIn = (name: string): boolean =>
    group === 'model' ? !name.startsWith('layers.') && !name.startsWith('head.') : name.startsWith(`${group}.`)
  return Object.entries(tensors).reduce((sum, [name, { bytes }]) => sum + (isIn(name) ? bytes : 0), 0)
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
