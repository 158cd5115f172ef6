import type { FileHandle } from 'node:fs/promises'
import { mkdir, mkdtemp, open, readFile, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { canonicalJson, isJsonObject } from '../core/json.ts'
import type { PreparedManifest } from './prepared.ts'
import { MANIFEST_FILE, WEIGHTS_FILE } from './prepared.ts'

/** Prefix of folders in the making. */
const UNFINISHED = '.preparing-'
/** A folder in the making whose weights have not grown for this long was left by a process that died. */
const ABANDONED_MS = 15 * 60_000

/** Whether `dir` holds a complete model prepared to exactly these tensors; the model's name may differ. */
export async function findPrepared(dir: string, manifest: PreparedManifest, weightBytes: number): Promise<boolean> {
  const text = await readFile(join(dir, MANIFEST_FILE), 'utf8').catch(() => null)
  const weights = await stat(join(dir, WEIGHTS_FILE)).catch(() => null)
  if (text === null || weights?.size !== weightBytes) return false
  let found: unknown
  try {
    found = JSON.parse(text)
  } catch {
    return false
  }
  return isJsonObject(found) && identity(found) === identity(manifest)
}

function identity(manifest: { format?: unknown; architecture?: unknown; tensors?: unknown }): string {
  return canonicalJson([manifest.format, manifest.architecture, manifest.tensors])
}

/**
 * Lets `write` fill `weights.bin` in a folder of its own, adds the manifest and moves the folder to `dir` in one step: other processes see
 * nothing or everything. Of two that prepare the same model at once, the later one's work is dropped.
 */
export async function publishPrepared(
  dir: string,
  manifest: PreparedManifest,
  weightBytes: number,
  write: (weights: FileHandle) => Promise<void>,
): Promise<void> {
  const cacheDir = dirname(dir)
  await mkdir(cacheDir, { recursive: true })
  await removeAbandoned(cacheDir)
  const unfinished = await mkdtemp(join(cacheDir, UNFINISHED))
  try {
    await writeDurably(join(unfinished, WEIGHTS_FILE), async (file) => {
      await write(file)
      await file.truncate(weightBytes)
    })
    await writeDurably(join(unfinished, MANIFEST_FILE), (file) => file.writeFile(JSON.stringify(manifest, null, 1)))
    await syncFolder(unfinished)
    await moveIntoPlace(unfinished, dir, manifest, weightBytes)
    await syncFolder(cacheDir)
  } finally {
    await rm(unfinished, { recursive: true, force: true })
  }
}

async function moveIntoPlace(
  from: string,
  dir: string,
  manifest: PreparedManifest,
  weightBytes: number,
): Promise<void> {
  try {
    await rename(from, dir)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null
    if (!['ENOTEMPTY', 'EEXIST', 'EPERM'].includes(String(code))) throw error
    if (await findPrepared(dir, manifest, weightBytes)) return
    // What stands there is damaged: put aside under a name that the next preparation clears.
    const damaged = await mkdtemp(join(dirname(dir), UNFINISHED))
    await rename(dir, damaged)
    await rename(from, dir)
    await rm(damaged, { recursive: true, force: true })
  }
}

async function writeDurably(path: string, fill: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await open(path, 'w')
  try {
    await fill(file)
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

async function removeAbandoned(cacheDir: string): Promise<void> {
  for (const name of await readdir(cacheDir)) {
    if (!name.startsWith(UNFINISHED)) continue
    const path = join(cacheDir, name)
    const touched = (await stat(join(path, WEIGHTS_FILE)).catch(() => null)) ?? (await stat(path).catch(() => null))
    if (touched !== null && Date.now() - touched.mtimeMs > ABANDONED_MS)
      await rm(path, { recursive: true, force: true })
  }
}
