import { readFile } from 'node:fs/promises'
import { errnoOf, replaceFile } from './durable.ts'

/**
 * The next version number of an adapter, taken durably: it is never given again.
 * @param path the adapter's file in `.numbers/`
 * @param known numbers of the versions there are
 * @param temporary path for the new text before it takes its place
 */
export async function takeNumber(path: string, known: readonly number[], temporary: string): Promise<number> {
  const last = await readFile(path, 'utf8').catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return '0'
    throw error
  })
  const next = Math.max(Number.parseInt(last, 10) || 0, ...known) + 1
  await replaceFile(path, `${next}\n`, temporary)
  return next
}
