import { openPromise } from 'yauzl'
import type { ArchiveEntry } from './archive-entry.ts'

const FILE_TYPE = 0o170000
const LINK = 0o120000

/** The entries of a zip file, as its central directory lists them. */
export async function* readZip(path: string): AsyncGenerator<ArchiveEntry> {
  const zip = await openPromise(path, { autoClose: false, lazyEntries: true })
  try {
    for await (const entry of zip.eachEntry()) {
      const { fileName, externalFileAttributes, uncompressedSize } = entry
      const isLink = ((externalFileAttributes >>> 16) & FILE_TYPE) === LINK
      yield {
        path: fileName,
        kind: isLink ? 'link' : fileName.endsWith('/') ? 'folder' : 'file',
        bytes: uncompressedSize,
        content: () => zip.openReadStreamPromise(entry),
      }
    }
  } finally {
    zip.close()
  }
}
