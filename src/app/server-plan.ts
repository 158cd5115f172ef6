import { formatByteSize } from '../config/byte-size.ts'
import { availableMemory } from '../config/defaults.ts'
import type { Settings } from '../config/schema.ts'
import { TroupeError } from '../core/errors.ts'
import type { Precision } from '../core/model-info.ts'
import { modelName } from '../core/model-name.ts'
import { kvPageBytes } from '../device/kv-size.ts'
import type { Architecture } from '../model/architecture.ts'
import { openCheckpoint } from '../model/checkpoint.ts'
import type { DiskPlan } from '../model/disk-plan.ts'
import { checkDisk, planDisk } from '../model/disk-plan.ts'
import { FingerprintCache } from '../model/fingerprint.ts'
import { planModel } from '../model/model-plan.ts'
import { defaultCacheDir } from '../model/prepare.ts'
import { mergesInto } from '../reference/choice.ts'
import { isBucket } from '../store/open.ts'
import type { MemoryPlan } from './memory-plan.ts'
import { checkMemoryPlan, planMemory } from './memory-plan.ts'
import type { KvPlan } from './model-limits.ts'
import { contextLength, planKv } from './model-limits.ts'

/** What a server will take of machine and disk, known from headers and settings before anything long begins. */
export interface ServerPlan {
  readonly precision: Precision
  readonly maxContext: number
  readonly kv: KvPlan
  readonly memory: MemoryPlan
  readonly disk: DiskPlan
  /** Most bytes of a bucket's files in the same folder; 0 where the store is a folder. */
  readonly storeCacheBytes: number
}

/** Logits of one step, as the engine bounds them, in bytes; they stand in the graph, in the addon and in JavaScript. */
const LOGITS_BYTES = 3 * 4 * 2 ** 24

/**
 * @throws TroupeError `invalid_model`; `invalid_config` where a budget is larger than the machine or too small for one sequence
 */
export async function planServer(settings: Settings, available = availableMemory()): Promise<ServerPlan> {
  for (const setting of ['kvBytes', 'memoryBytes'] as const) checkBudget(setting, settings[setting], available)
  const cacheDir = settings.cacheDir ?? defaultCacheDir()
  const checkpoint = openCheckpoint(settings.model)
  try {
    const { architecture, precision, layout, smaller } = planModel(checkpoint, settings.precision)
    const shape = { ...architecture, name: settings.name ?? modelName(settings.model), precision }
    const maxContext = contextLength(shape, settings.maxContext)
    const kv = planKv(shape, settings, maxContext)
    const demand = {
      weights: layout.bytes,
      kv: kv.pages * kvPageBytes(architecture, kv.format),
      adapters: settings.memoryBytes,
      working: stepBytes(architecture, settings.stepTokens) + probeBytes(architecture, settings.mergedProbe),
    }
    const fingerprint = await new FingerprintCache(cacheDir, checkpoint).read()
    return {
      precision,
      maxContext,
      kv,
      memory: planMemory(demand, available, smaller),
      disk: await planDisk(cacheDir, { fingerprint, precision }, layout.bytes),
      storeCacheBytes: isBucket(settings.store) ? settings.storeCacheBytes : 0,
    }
  } finally {
    checkpoint.close()
  }
}

/**
 * @returns what will work, but not well
 * @throws TroupeError `invalid_config`, `storage_error` with the numbers, and settings that would fit, when it cannot work
 */
export function checkServerPlan({ memory, disk, storeCacheBytes }: ServerPlan): readonly string[] {
  checkDisk(disk)
  const tight = checkMemoryPlan(memory)
  const left = Math.max(0, disk.free - disk.bytes)
  const full =
    storeCacheBytes > left
      ? `the disk of ${disk.folder} has ${formatByteSize(left)} free beside the prepared model, and storeCacheBytes is ` +
        `${formatByteSize(storeCacheBytes)}: set at most what is free, or choose another folder with cacheDir`
      : null
  return [tight, full].filter((warning) => warning !== null)
}

function checkBudget(setting: 'kvBytes' | 'memoryBytes', bytes: number, available: number): void {
  if (bytes <= available) return
  throw new TroupeError(
    'invalid_config',
    `${setting} is ${formatByteSize(bytes)}, and this process may use ${formatByteSize(available)} of memory; set at most an eighth to a half of that`,
    { param: setting },
  )
}

/** What the widest step holds between its operators, with what these need while they run. */
function stepBytes({ hidden, heads, kvHeads, headDim, mlp }: Architecture, stepTokens: number): number {
  const widest = 4 * hidden + 2 * (heads + 2 * kvHeads) * headDim + 2 * 2 * mlp
  return 2 * stepTokens * widest * Float32Array.BYTES_PER_ELEMENT + LOGITS_BYTES
}

/** The comparison with merged weights holds a layer in f32: as it is, and merged. */
function probeBytes(architecture: Architecture, choice: Settings['mergedProbe']): number {
  if (!mergesInto(architecture, choice)) return 0
  const weights = architecture.modules.reduce((sum, { inDim, outDim }) => sum + inDim * outDim, 0)
  return 2 * weights * Float32Array.BYTES_PER_ELEMENT
}
