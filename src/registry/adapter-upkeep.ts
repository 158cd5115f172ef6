import { TroupeError } from '../core/errors.ts'
import type { RegistryParts } from './assembly.ts'
import { adapterNotFound } from './catalogue.ts'
import type { NotesInput } from './notes-book.ts'
import type { TaskRecord, VersionRecord } from './records.ts'

/** A version as people see it. @throws TroupeError `adapter_not_found`, `version_not_found` */
export function versionOf({ view }: RegistryParts, name: string, version: number): VersionRecord {
  const adapter = view.get(name)
  if (!adapter) throw adapterNotFound(name)
  const found = version === 0 ? undefined : adapter.versions.find((record) => record.version === version)
  if (!found) throw new TroupeError('version_not_found', `adapter "${name}" has no version v${version}`)
  return found
}

/** A version that was deleted lately and has gone. */
export function deletedVersion(
  { draining, uploads }: RegistryParts,
  name: string,
  version: number,
): VersionRecord | null {
  const isDraining = draining.records().some((one) => one.adapter === name && one.version === version)
  return isDraining ? null : uploads.deleted(name, version)
}

export async function changeNotes(parts: RegistryParts, name: string, input: NotesInput): Promise<void> {
  if (!parts.catalogue.has(name)) throw adapterNotFound(name)
  await parts.notes.change(name, input)
  parts.pins.follow()
}

/** Tries now to load a version whose loads failed. */
export async function retryVersion(parts: RegistryParts, name: string, version: number): Promise<VersionRecord> {
  const { digest } = versionOf(parts, name, version)
  parts.source.failures.forget(digest)
  const request = parts.leases.pinRequest(digest)
  if (request) (await parts.tier.pin([request])).release()
  return versionOf(parts, name, version)
}

/** Requests will come along the routes of tasks: what they need is brought in now. */
export function bringIn({ catalogue, prefetch, pins }: RegistryParts, tasks: readonly TaskRecord[]): void {
  const routes = tasks.flatMap((task) => task.routes)
  prefetch.want(routes.flatMap(({ adapter, version }) => catalogue.byNumber(adapter, version)?.digest ?? []))
  pins.follow()
}
