import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { digestAdapter, sha256File } from '../../src/adapters/digest.ts'
import { CONFIG_FILE } from '../../src/adapters/files.ts'
import { recogniseFiles } from '../../src/adapters/recognise.ts'
import { catalogueBook } from '../../src/catalogue/book.ts'
import { CatalogueState } from '../../src/catalogue/state.ts'
import type { Version } from '../../src/catalogue/version.ts'
import { blobPrefix, newBlob } from '../../src/store/blobs.ts'
import { FilesystemStore } from '../../src/store/filesystem/filesystem-store.ts'
import { Journal } from '../../src/store/journal.ts'
import { writeSnapshot } from '../../src/store/snapshot.ts'

/** A version that a server accepted into its store. */
export interface StoredVersion {
  readonly version: Version
  readonly config: Readonly<Record<string, unknown>>
  readonly weightsPath: string
}

const QUIET = { info: () => undefined, warn: () => undefined, error: () => undefined }

/** The first version of an adapter in a store. */
export async function readStored(folder: string, adapter: string): Promise<StoredVersion> {
  const state = new CatalogueState()
  const store = await FilesystemStore.open(folder)
  await (await Journal.open({ store, books: [catalogueBook(state)], server: 'bench', log: QUIET })).close()
  const version = state.adapters.get(adapter)?.versions[0]
  if (!version) throw new Error(`${folder} has no adapter ${adapter}`)
  const dir = join(folder, blobPrefix(version))
  const config = JSON.parse(readFileSync(join(dir, CONFIG_FILE), 'utf8')) as Record<string, unknown>
  return { version, config, weightsPath: join(dir, recogniseFiles(readdirSync(dir)).weights) }
}

export function registeredName(index: number): string {
  return `registered-${index}`
}

/** Writes a store that consists of a snapshot: as if so many versions had been added one by one. */
export async function writeVersions(folder: string, versions: readonly Version[]): Promise<void> {
  const state = new CatalogueState()
  for (const version of versions)
    state.setAdapter({ name: version.adapter, pinned: false, versions: [version], last: version.version })
  const store = await FilesystemStore.open(folder)
  await writeSnapshot(store, versions.length, [catalogueBook(state)])
}

/**
 * Writes a store with `count` registered LoRA adapters, unless it is there. They share the weights of a few (hard links), and each has an alpha
 * and so a digest of its own: a server treats them as different in every respect.
 */
export async function writeRegistered(
  folder: string,
  templates: readonly StoredVersion[],
  count: number,
): Promise<string> {
  if (existsSync(folder)) return folder
  const partial = `${folder}.partial`
  rmSync(partial, { recursive: true, force: true })
  const hashes = templates.map(({ weightsPath }) => sha256File(weightsPath))
  const versions = Array.from({ length: count }, (_, index) => {
    const n = index % templates.length
    return writeFiles(partial, templates[n]!, hashes[n]!, index)
  })
  await writeVersions(partial, versions)
  renameSync(partial, folder)
  return folder
}

function writeFiles(folder: string, { version, ...template }: StoredVersion, sha256: string, index: number): Version {
  const config = { ...template.config, lora_alpha: version.rank * (1 + index / 10_000) }
  const id = newBlob(digestAdapter(version.format, config, sha256), Date.now())
  const dir = join(folder, blobPrefix(id))
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, CONFIG_FILE), JSON.stringify(config))
  linkSync(template.weightsPath, join(dir, basename(template.weightsPath)))
  return { ...version, ...id, adapter: registeredName(index), version: 1 }
}
