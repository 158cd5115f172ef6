import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { TroupeError } from '../../core/errors.ts'
import { ownerOf } from '../names.ts'
import { isDigestFolder } from './documents.ts'
import { errnoOf } from './durable.ts'

/**
 * `acme` cannot be an adapter when there are adapters called `acme/…`, and the other way round.
 * @param root the folder of all adapters
 * @throws TroupeError `conflict`
 */
export async function refuseOwnerClash(root: string, adapter: string): Promise<void> {
  const owner = ownerOf(adapter)
  const top = await childrenOf(join(root, owner ?? adapter))
  const isAdapter = top.some(isDigestFolder)
  if (owner !== null && isAdapter) {
    throw new TroupeError('conflict', `"${owner}" is an adapter, so nothing can be called "${owner}/…"`, {
      param: 'adapter',
    })
  }
  if (owner !== null || isAdapter) return
  for (const child of top) {
    if ((await childrenOf(join(root, adapter, child))).some(isDigestFolder)) {
      const message = `"${adapter}" is the owner of "${adapter}/${child}", so no adapter can be called so`
      throw new TroupeError('conflict', message, { param: 'adapter' })
    }
  }
}

/** Names in a folder; none if there is no such folder. */
export async function childrenOf(path: string): Promise<string[]> {
  try {
    return await readdir(path)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return []
    throw error
  }
}
