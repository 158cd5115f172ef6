import { createReadStream } from 'node:fs'
import { createGunzip } from 'node:zlib'
import type { Extract } from 'tar-stream'
import { extract } from 'tar-stream'
import type { ArchiveEntry } from './archive-entry.ts'

const KINDS: Readonly<Record<string, ArchiveEntry['kind']>> = {
  file: 'file',
  'contiguous-file': 'file',
  directory: 'folder',
  link: 'link',
  symlink: 'link',
}

/**
 * The entries of a tar file, packed with gzip or not.
 *
 * @param guard is told how many bytes were unpacked so far, and throws when it is enough
 */
export async function* readTar(
  path: string,
  kind: 'tar' | 'gzip',
  guard: (bytes: number) => void,
): AsyncGenerator<ArchiveEntry> {
  const unpacked = extract()
  const feeding = feed(unpacked, path, kind, guard)
  try {
    for await (const entry of unpacked) {
      const { name, type, size } = entry.header
      let taken = false
      yield {
        path: name,
        kind: KINDS[type ?? 'file'] ?? 'other',
        bytes: size ?? 0,
        content: () => {
          taken = true
          return Promise.resolve(entry)
        },
      }
      if (!taken) entry.resume()
    }
  } finally {
    unpacked.destroy()
    await feeding
  }
}

/** Never fails itself: what went wrong is thrown by whoever reads the entries. */
async function feed(
  unpacked: Extract,
  path: string,
  kind: 'tar' | 'gzip',
  guard: (bytes: number) => void,
): Promise<void> {
  const file = createReadStream(path)
  const stream = kind === 'gzip' ? file.pipe(createGunzip()) : file
  file.once('error', (error) => stream.destroy(error))
  let bytes = 0
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      bytes += chunk.length
      // Headers and padding come on top of what the files have.
      guard(bytes - Math.min(bytes, HEADER_BYTES))
      if (unpacked.destroyed) return
      if (!unpacked.write(chunk)) await readyForMore(unpacked)
    }
    unpacked.end()
  } catch (error) {
    unpacked.destroy(error instanceof Error ? error : new Error(String(error)))
  } finally {
    file.destroy()
    stream.destroy()
  }
}

/** Resolves when there is room again, or when nobody reads any more. */
async function readyForMore(unpacked: Extract): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      unpacked.off('drain', done).off('close', done)
      resolve()
    }
    unpacked.on('drain', done).on('close', done)
  })
}

/** Room for the headers of the most entries that an archive may have. */
const HEADER_BYTES = 10_000 * 1_536
