import { link, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { TroupeError } from '../../core/errors.ts'
import { errnoOf } from './durable.ts'
import { isStale, newTag } from './process-tag.ts'

const WAIT_MS = 20_000
const POLL_MS = 10
/** A lock is held for milliseconds; one of another host that is this old was left by a crash. */
const FOREIGN_LOCK_MS = 30_000

/**
 * Runs `job` while holding the lock file `path` against other processes. A lock whose holder died is taken over.
 * @throws TroupeError `conflict` when another process holds it for seconds
 */
export async function withLock<T>(path: string, job: () => Promise<T>): Promise<T> {
  const tag = newTag()
  const deadline = Date.now() + WAIT_MS
  for (;;) {
    try {
      await writeFile(path, tag, { flag: 'wx' })
      break
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
    }
    if (await takeAway(path)) continue
    if (Date.now() > deadline) {
      throw new TroupeError('conflict', `another process holds ${path}; repeat the request`, { retryAfterSeconds: 1 })
    }
    await sleep(POLL_MS)
  }
  try {
    return await job()
  } finally {
    await rm(path, { force: true })
  }
}

/** Removes a dead holder's lock. It is renamed first: of two processes that try, one gets it. */
async function takeAway(path: string): Promise<boolean> {
  const tag = await readTag(path)
  if (tag === null) return true
  // An empty lock belongs to a holder between creating and writing it, or to one that died there.
  const age = await ageOf(path)
  if (tag === '' ? age < FOREIGN_LOCK_MS : !isStale(tag, age, FOREIGN_LOCK_MS)) return false
  const aside = `${path}.${newTag()}`
  try {
    await rename(path, aside)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return true
    throw error
  }
  // Between reading and renaming the lock may have become somebody's: give it back.
  if ((await readTag(aside)) !== tag) await link(aside, path).catch(() => undefined)
  await rm(aside, { force: true })
  return true
}

async function readTag(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}

async function ageOf(path: string): Promise<number> {
  try {
    return Date.now() - (await stat(path)).mtimeMs
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return Infinity
    throw error
  }
}
