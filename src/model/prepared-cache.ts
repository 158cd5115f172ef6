import type { FileHandle } from 'node:fs/promises'
import { appendFile, mkdir, mkdtemp, open, readFile, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { TroupeError } from '../core/errors.ts'
import { canonicalJson, isJsonObject } from '../core/json.ts'
import { checkDisk, planDisk } from './disk-plan.ts'
import { LOCK, PreparationLock } from './preparation-lock.ts'
import type { PreparedManifest } from './prepared.ts'
import { MANIFEST_FILE, UNFINISHED, WEIGHTS_FILE } from './prepared.ts'

/** What is written so far, one line for each group of tensors; the first line says of which model. */
const PROGRESS_FILE = 'progress.jsonl'
/** A folder in the making that nobody has touched for this long is swept away. */
const ABANDONED_MS = 7 * 24 * 3600_000

/** Tensors that are written together, by name; the digest of each as `sha256:…`. */
export type GroupDigests = Readonly<Record<string, string>>

/** Fills `weights.bin`. */
export interface WeightsSource {
  /** Names of the groups of tensors, in the order in which they are written. */
  readonly groups: readonly string[]
  /** Writes one group and returns the digests of its tensors. What a later process needs to go on may be left in the folder. */
  write(group: string, place: { readonly file: FileHandle; readonly folder: string }): Promise<GroupDigests>
}

/** What a preparation tells those who wait. */
export interface PreparationHooks {
  /** Another process prepares the same model and is waited for. */
  readonly onWait: (pid: number) => void
  /** A group that an earlier attempt wrote already. */
  readonly onKept: (group: string) => void
}

/** The complete model in `dir` if it is prepared to exactly these tensors; its name and digests may differ. Null = there is none. */
export async function findPrepared(
  dir: string,
  manifest: PreparedManifest,
  weightBytes: number,
): Promise<PreparedManifest | null> {
  const text = await readFile(join(dir, MANIFEST_FILE), 'utf8').catch(() => null)
  const weights = await stat(join(dir, WEIGHTS_FILE)).catch(() => null)
  if (text === null || weights?.size !== weightBytes) return null
  let found: unknown
  try {
    found = JSON.parse(text)
  } catch {
    return null
  }
  if (!isJsonObject(found) || identity(found) !== identity(manifest)) return null
  return found as unknown as PreparedManifest
}

function identity(manifest: { format?: unknown; architecture?: unknown; tensors?: unknown }): string {
  return canonicalJson([manifest.format, manifest.architecture, manifest.tensors])
}

/**
 * Writes a prepared model into a folder in the making and moves it to `dir` in one step: other processes see nothing or everything. One process
 * does it, others wait for it. What an earlier attempt wrote before it was killed is taken over.
 *
 * @throws TroupeError `storage_error` when the disk has not enough room
 */
export async function publishPrepared(
  dir: string,
  manifest: PreparedManifest,
  weightBytes: number,
  source: WeightsSource,
  hooks: PreparationHooks,
): Promise<PreparedManifest> {
  const cacheDir = dirname(dir)
  await mkdir(cacheDir, { recursive: true })
  const unfinished = join(cacheDir, UNFINISHED + basename(dir))
  await sweepAbandoned(cacheDir, unfinished)
  let made: PreparedManifest | null = null
  const isMade = async (): Promise<boolean> => (made = await findPrepared(dir, manifest, weightBytes)) !== null
  const lock = await PreparationLock.acquire(unfinished, isMade, hooks.onWait)
  if (lock === null) return made!
  try {
    checkDisk(await planDisk(cacheDir, manifest.info, weightBytes))
    const progress = await Progress.open(unfinished, identity(manifest))
    await writeWeights(unfinished, weightBytes, source, progress, hooks)
    const whole = { ...manifest, digests: progress.digests }
    await writeDurably(join(unfinished, MANIFEST_FILE), JSON.stringify(whole, null, 1))
    await clear(unfinished)
    await syncFolder(unfinished)
    await moveIntoPlace(unfinished, dir)
    await lock.release(dir)
    await syncFolder(cacheDir)
    return whole
  } catch (error) {
    await lock.release()
    // What a faulty checkpoint left is of no use; what a full disk left can be gone on with.
    if (error instanceof TroupeError) await rm(unfinished, { recursive: true, force: true })
    throw error
  }
}

async function writeWeights(
  folder: string,
  weightBytes: number,
  source: WeightsSource,
  progress: Progress,
  hooks: PreparationHooks,
): Promise<void> {
  const file = await open(join(folder, WEIGHTS_FILE), progress.isEmpty ? 'w' : 'r+')
  try {
    for (const group of source.groups) {
      if (progress.has(group)) {
        hooks.onKept(group)
        continue
      }
      const digests = await source.write(group, { file, folder })
      await file.datasync()
      await progress.add(group, digests)
    }
    await file.truncate(weightBytes)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Which groups of a folder in the making are on disk, and the digests of their tensors. */
class Progress {
  readonly #path: string
  readonly #groups = new Map<string, GroupDigests>()

  private constructor(path: string) {
    this.#path = path
  }

  /** Reads what an earlier attempt at the same model left; anything else is begun anew. */
  static async open(folder: string, model: string): Promise<Progress> {
    const progress = new Progress(join(folder, PROGRESS_FILE))
    const text = await readFile(progress.#path, 'utf8').catch(() => '')
    // The last line may be torn.
    const [first, ...lines] = text.split('\n').slice(0, -1)
    const weights = await stat(join(folder, WEIGHTS_FILE)).catch(() => null)
    if (first === model && weights !== null) {
      for (const line of lines) {
        const { group, digests } = JSON.parse(line) as { group: string; digests: GroupDigests }
        progress.#groups.set(group, digests)
      }
      return progress
    }
    await writeDurably(progress.#path, `${model}\n`)
    return progress
  }

  get isEmpty(): boolean {
    return this.#groups.size === 0
  }

  get digests(): GroupDigests {
    return Object.assign({}, ...this.#groups.values()) as GroupDigests
  }

  has(group: string): boolean {
    return this.#groups.has(group)
  }

  async add(group: string, digests: GroupDigests): Promise<void> {
    await appendFile(this.#path, `${JSON.stringify({ group, digests })}\n`, { flush: true })
    this.#groups.set(group, digests)
  }
}

/** Removes what only served the writing. */
async function clear(folder: string): Promise<void> {
  for (const name of await readdir(folder))
    if (![WEIGHTS_FILE, MANIFEST_FILE, LOCK].includes(name)) await rm(join(folder, name))
}

async function moveIntoPlace(from: string, dir: string): Promise<void> {
  try {
    await rename(from, dir)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null
    if (!['ENOTEMPTY', 'EEXIST', 'EPERM'].includes(String(code))) throw error
    // What stands there is damaged, or this would not have been made: it goes aside first.
    const damaged = await mkdtemp(join(dirname(dir), UNFINISHED))
    await rename(dir, damaged)
    await rename(from, dir)
    await rm(damaged, { recursive: true, force: true })
  }
}

async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, 'w')
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function syncFolder(path: string): Promise<void> {
  // Windows cannot open folders; it writes their entries through.
  if (process.platform === 'win32') return
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Removes what preparations of other models left long ago. */
async function sweepAbandoned(cacheDir: string, own: string): Promise<void> {
  for (const name of await readdir(cacheDir)) {
    const path = join(cacheDir, name)
    if (!name.startsWith(UNFINISHED) || path === own) continue
    const touched = (await stat(join(path, PROGRESS_FILE)).catch(() => null)) ?? (await stat(path).catch(() => null))
    if (touched !== null && Date.now() - touched.mtimeMs > ABANDONED_MS)
      await rm(path, { recursive: true, force: true })
  }
}
