import { mkdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { TroupeError } from '../core/errors.ts'
import { TOKENIZER_FILES, TOKENIZER_FOLDER } from '../adapters/own-tokens.ts'
import { archiveKind, openArchive } from './archive.ts'
import type { FolderReport } from './folder-report.ts'
import { reportFolder } from './folder-report.ts'
import type { FolderSource } from './folder-source.ts'
import { folderSource } from './folder-source.ts'

/**
 * Takes an adapter's files into a folder of its own, and what may say which tokens it adds into one in it.
 *
 * @param dir exists, and has none of these files
 * @returns what was taken and what not
 * @throws TroupeError as `reportFolder`, and what the source throws
 */
export async function takeFiles(source: FolderSource, dir: string): Promise<FolderReport> {
  const report = reportFolder(source.entries)
  const tokenizer = source.entries.map(({ path }) => path).filter((path) => TOKENIZER_FILES.includes(path))
  if (tokenizer.length > 0) await mkdir(join(dir, TOKENIZER_FOLDER))
  const taken = report.took.map(({ file }) => [file, join(dir, file)] as const)
  const beside = tokenizer.map((file) => [file, join(dir, TOKENIZER_FOLDER, file)] as const)
  await source.copy(new Map([...taken, ...beside]))
  return report
}

/**
 * The folder or archive at a path, or the folder around any other file.
 *
 * @param limitBytes of all files of an archive, unpacked
 * @throws TroupeError `invalid_adapter` where nothing is at the path, and as `openArchive`
 */
export async function openSource(path: string, limitBytes: number): Promise<FolderSource> {
  const found = await stat(path).catch(() => null)
  if (found === null) {
    throw new TroupeError('invalid_adapter', `${path} does not exist: give an adapter’s folder, file or archive`)
  }
  if (found.isDirectory()) return folderSource(path)
  return (await archiveKind(path)) === null ? folderSource(dirname(path)) : openArchive(path, limitBytes)
}
