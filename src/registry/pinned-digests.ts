import type { Catalogue } from './catalogue.ts'
import type { NotesBook } from './notes-book.ts'
import type { VersionRecord } from './records.ts'
import type { TaskBook } from './task-book.ts'

/** Digests that are to stay in memory: what pinned tasks route to, then the newest ready version of pinned adapters. */
export function pinnedDigests(catalogue: Catalogue, tasks: TaskBook, notes: NotesBook): readonly string[] {
  const versions: (VersionRecord | null)[] = []
  for (const { pinned, routes } of tasks.all.values()) {
    if (pinned) versions.push(...routes.map(({ adapter, version }) => catalogue.byNumber(adapter, version)))
  }
  for (const adapter of notes.pinned()) versions.push(catalogue.newest(adapter))
  return [...new Set(versions.flatMap((version) => (version?.state === 'ready' ? [version.digest] : [])))]
}
