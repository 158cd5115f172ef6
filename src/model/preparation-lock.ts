import { randomUUID } from 'node:crypto'
import { link, mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { isJsonObject } from '../core/json.ts'

/** How often the holder shows that it lives, and how long after the last time it counts as dead. */
const BEAT_MS = 2000
const DEAD_MS = 20_000
const POLL_MS = 200

/** The file that stands for the lock. */
export const LOCK = 'lock'

/** Who holds a folder. */
interface Holder {
  readonly id: string
  readonly host: string
  readonly pid: number
}

/**
 * The right to write into a folder, among processes that may die at any time. A holder touches the lock file every two seconds. One whose process
 * is gone, or that has not touched it for twenty seconds, loses it to the next.
 */
export class PreparationLock {
  readonly #path: string
  readonly #id: string
  readonly #beat: NodeJS.Timeout

  private constructor(path: string, id: string) {
    this.#path = path
    this.#id = id
    this.#beat = setInterval(() => {
      // A beat that fails is made up for by the next; a folder that is gone has no use for one.
      utimes(path, new Date(), new Date()).catch(() => undefined)
    }, BEAT_MS).unref()
  }

  /**
   * Waits for the lock of a folder, which is made if need be.
   *
   * @param isObsolete asked while waiting: true = the folder is no longer needed
   * @param onWait called once, with the process that is waited for
   * @returns null when the folder is no longer needed
   */
  static async acquire(
    folder: string,
    isObsolete: () => Promise<boolean>,
    onWait: (pid: number) => void,
  ): Promise<PreparationLock | null> {
    const path = join(folder, LOCK)
    const holder: Holder = { id: randomUUID(), host: hostname(), pid: process.pid }
    for (let waited = false; ; waited = true) {
      if (await isObsolete()) return null
      await mkdir(folder, { recursive: true })
      if (await create(path, holder)) {
        const lock = new PreparationLock(path, holder.id)
        // The last holder may have moved the folder away just before.
        if (!(await isObsolete())) return lock
        await lock.release()
        await rm(folder, { recursive: true, force: true })
        return null
      }
      const other = await readHolder(path)
      if (other !== null && (await isDead(path, other))) await removeOf(path, other.id)
      else if (other !== null && !waited) onWait(other.pid)
      await pause(POLL_MS)
    }
  }

  /** @param folder where the locked folder is now, if it was moved */
  async release(folder = dirname(this.#path)): Promise<void> {
    clearInterval(this.#beat)
    await removeOf(join(folder, LOCK), this.#id)
  }
}

/** Whether the lock file could be made: whole, under its name, or not at all. */
async function create(path: string, holder: Holder): Promise<boolean> {
  const own = `${path}.${holder.id}`
  try {
    await writeFile(own, JSON.stringify(holder))
    await link(own, path)
    return true
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null
    // The folder may have moved into place meanwhile.
    if (code === 'EEXIST' || code === 'ENOENT') return false
    throw error
  } finally {
    await rm(own, { force: true })
  }
}

async function readHolder(path: string): Promise<Holder | null> {
  const text = await readFile(path, 'utf8').catch(() => null)
  const json: unknown = text === null ? null : JSON.parse(text)
  return isJsonObject(json) ? (json as unknown as Holder) : null
}

async function isDead(path: string, { host, pid }: Holder): Promise<boolean> {
  const found = await stat(path).catch(() => null)
  if (found === null) return false
  if (Date.now() - found.mtimeMs > DEAD_MS) return true
  return host === hostname() && pid !== process.pid && !isRunning(pid)
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** Removes the lock file if it is still that of a holder. */
async function removeOf(path: string, id: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`
  try {
    await rename(path, aside)
  } catch {
    return
  }
  const moved = await readHolder(aside)
  // Somebody else was faster and holds it now: give it back.
  if (moved !== null && moved.id !== id) await link(aside, path).catch(() => undefined)
  await rm(aside, { force: true })
}
