import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isStale } from './process-tag.ts'

/** Removes what processes that ended left in a folder of tagged entries. Others' work in progress stays. */
export async function sweepLeftovers(dir: string): Promise<void> {
  for (const name of await readdir(dir)) {
    const path = join(dir, name)
    const age = await stat(path).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => Infinity,
    )
    if (isStale(name, age)) await rm(path, { recursive: true, force: true })
  }
}
