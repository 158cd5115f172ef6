import { createWriteStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { TroupeError } from '../core/errors.ts'
import type { FolderEntry } from './folder-report.ts'
import { commonFolder } from './folder-report.ts'
import type { FolderSource } from './folder-source.ts'
import { onDisk } from './disk.ts'
import type { ArchiveEntry } from './archive-entry.ts'
import { entryPath } from './archive-entry.ts'
import { readTar } from './tar.ts'
import { readZip } from './zip.ts'

type Kind = 'zip' | 'tar' | 'gzip'

const MAX_ENTRIES = 10_000
/** Unpacked bytes per packed byte. Weights hardly shrink; texts do, but not that far. */
const MAX_RATIO = 200
/** Up to here the ratio does not matter. */
const FREE_BYTES = 16 << 20

/** Archives that are not read, by their first bytes. */
const OTHERS: readonly (readonly [string, string])[] = [
  ['\x28\xb5\x2f\xfd', 'zstd'],
  ['\xfd7zXZ', 'xz'],
  ['BZh', 'bzip2'],
  ['7z\xbc\xaf', '7-Zip'],
  ['Rar!', 'RAR'],
]

/** Whether a name is one of an archive. */
export function isArchiveName(name: string): boolean {
  return /\.(zip|tar|tgz|tar\.(gz|bz2|xz|zst)|7z|rar)$/i.test(name)
}

/**
 * What kind of archive a file is, told by its first bytes; null for other files.
 *
 * @throws TroupeError `invalid_adapter` for archives of kinds that are not read
 */
export async function archiveKind(path: string): Promise<Kind | null> {
  const head = await firstBytes(path, 512)
  const text = Buffer.from(head).toString('latin1')
  // A safetensors header begins here, whatever its length looks like.
  if (text[8] === '{') return null
  const other = OTHERS.find(([magic]) => text.startsWith(magic))
  if (other !== undefined) throw refusal(path, `is packed with ${other[1]}: send a .zip, .tar or .tar.gz instead`)
  if (text.startsWith('PK\x03\x04') || text.startsWith('PK\x05\x06')) return 'zip'
  if (text.startsWith('\x1f\x8b')) return 'gzip'
  return text.slice(257, 262) === 'ustar' ? 'tar' : null
}

/**
 * Reads what is in a `.zip`, `.tar` or `.tar.gz`: everything below the folder that all its files share.
 *
 * @param limitBytes of all files, unpacked
 * @throws TroupeError `invalid_adapter` for links, paths that lead outside, files twice, too many or too large ones, and for what is no whole
 * archive
 */
export async function openArchive(path: string, limitBytes: number): Promise<FolderSource> {
  const kind = await archiveKind(path)
  if (kind === null) throw refusal(path, 'is no archive: send a .zip, .tar or .tar.gz')
  const { size } = await stat(path)
  const guard = (bytes: number): void => checkSize(path, bytes, size, limitBytes)
  const read = (): AsyncGenerator<ArchiveEntry> => (kind === 'zip' ? readZip(path) : readTar(path, kind, guard))
  const entries = await onDisk('read', path, () => attempt(path, () => listEntries(path, read(), guard)))
  const root = commonFolder(entries)
  return {
    dir: null,
    entries: entries.map((entry) => ({ ...entry, path: entry.path.slice(root.length) })),
    copy: (targets) => onDisk('unpack', path, () => attempt(path, () => unpack(path, read(), root, targets))),
  }
}

async function listEntries(
  archive: string,
  entries: AsyncIterable<ArchiveEntry>,
  guard: (bytes: number) => void,
): Promise<FolderEntry[]> {
  const files = new Map<string, number>()
  let [count, total] = [0, 0]
  for await (const { path, kind, bytes } of entries) {
    if (++count > MAX_ENTRIES) throw refusal(archive, `has more than ${MAX_ENTRIES} entries`)
    const shown = JSON.stringify(path.slice(0, 200))
    if (kind === 'link') throw refusal(archive, `has a link, ${shown}: pack the files themselves (tar --dereference)`)
    if (kind === 'other') throw refusal(archive, `has ${shown}, which is neither file nor folder`)
    if (kind === 'folder') continue
    const clean = entryPath(path)
    if (clean === null) throw refusal(archive, `has a file with the path ${shown}, which leads outside`)
    if (files.has(clean)) throw refusal(archive, `has the file ${shown} twice`)
    files.set(clean, bytes)
    total += bytes
    guard(total)
  }
  if (files.size === 0) throw refusal(archive, 'has no files')
  return [...files].map(([path, bytes]) => ({ path, bytes }))
}

async function unpack(
  archive: string,
  entries: AsyncIterable<ArchiveEntry>,
  root: string,
  targets: ReadonlyMap<string, string>,
): Promise<void> {
  let missing = targets.size
  for await (const entry of entries) {
    const { path, kind } = entry
    const target = kind === 'file' ? targets.get(entryPath(path)?.slice(root.length) ?? '') : undefined
    if (target === undefined) continue
    await pipeline(await entry.content(), createWriteStream(target, { flags: 'wx' }))
    if (--missing === 0) return
  }
  throw refusal(archive, 'changed while it was unpacked')
}

function checkSize(archive: string, bytes: number, packed: number, limitBytes: number): void {
  if (bytes > limitBytes) {
    const text = `unpacks to more than the ${limitBytes} bytes that an upload may have: leave out what is not the adapter`
    throw new TroupeError('upload_too_large', `${basename(archive)} ${text}`, { param: basename(archive) })
  }
  if (bytes > FREE_BYTES && bytes > packed * MAX_RATIO) {
    throw refusal(archive, `unpacks to more than ${MAX_RATIO} times its size`)
  }
}

/** What the readers throw says what is wrong with the archive; what the system throws, with the disk. */
async function attempt<T>(archive: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof TroupeError || !(cause instanceof Error) || 'syscall' in cause) throw cause
    throw refusal(archive, `cannot be unpacked: ${cause.message}`, cause)
  }
}

async function firstBytes(path: string, count: number): Promise<Uint8Array> {
  const handle = await open(path, 'r')
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(count), 0, count, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}

function refusal(archive: string, fault: string, cause?: unknown): TroupeError {
  const name = basename(archive)
  return new TroupeError('invalid_adapter', `${name} ${fault}`, { param: name, cause })
}
