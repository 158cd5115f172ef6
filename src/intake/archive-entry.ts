const MAX_LENGTH = 1_024

/** One entry of an archive. Its content must be read before the next entry is asked for, or is skipped. */
export interface ArchiveEntry {
  /** As the archive has it. */
  readonly path: string
  readonly kind: 'file' | 'folder' | 'link' | 'other'
  readonly bytes: number
  content(): Promise<AsyncIterable<Uint8Array>>
}

/**
 * The path of a file inside a folder, as an archive or a form has it, with `/` between its parts; null for one that leads outside or is
 * none.
 */
export function entryPath(path: string): string | null {
  if (path.length > MAX_LENGTH || path.includes('\0') || /^([/\\]|[A-Za-z]:)/.test(path)) return null
  const parts = path.split(/[/\\]/).filter((part) => part !== '' && part !== '.')
  return parts.length === 0 || parts.includes('..') ? null : parts.join('/')
}
