import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { digestAdapter, sha256File } from '../../src/adapters/digest.ts'
import { CONFIG_FILE } from '../../src/adapters/files.ts'
import { recogniseFiles } from '../../src/adapters/recognise.ts'
import {
  digestFolder,
  isDigestFolder,
  parseVersion,
  renderVersion,
  VERSION_FILE,
} from '../../src/registry/store/documents.ts'
import type { VersionDocument } from '../../src/registry/store/port.ts'

/** A version that a server accepted into its store. */
export interface StoredVersion {
  readonly document: VersionDocument
  readonly config: Readonly<Record<string, unknown>>
  readonly weightsPath: string
}

/** The one version of an adapter in a store. */
export function readStored(store: string, adapter: string): StoredVersion {
  const parent = join(store, 'adapters', adapter)
  const folder = readdirSync(parent).find(isDigestFolder)
  if (folder === undefined) throw new Error(`${parent} holds no version`)
  const dir = join(parent, folder)
  const files = readdirSync(dir).filter((file) => file !== VERSION_FILE)
  return {
    document: parseVersion(readFileSync(join(dir, VERSION_FILE), 'utf8'), adapter, folder),
    config: JSON.parse(readFileSync(join(dir, CONFIG_FILE), 'utf8')) as Record<string, unknown>,
    weightsPath: join(dir, recogniseFiles(files).weights),
  }
}

export function registeredName(index: number): string {
  return `registered-${index}`
}

/**
 * Writes a store with `count` registered LoRA adapters, unless it is there. They share the weights of a few (hard links), and each has an alpha
 * and so a digest of its own: a server treats them as different in every respect.
 */
export function writeRegistered(store: string, templates: readonly StoredVersion[], count: number): string {
  if (existsSync(store)) return store
  const partial = `${store}.partial`
  rmSync(partial, { recursive: true, force: true })
  const hashes = templates.map(({ weightsPath }) => sha256File(weightsPath))
  for (let index = 0; index < count; index++) {
    const n = index % templates.length
    writeVersion(join(partial, 'adapters'), templates[n]!, hashes[n]!, index)
  }
  renameSync(partial, store)
  return store
}

function writeVersion(parent: string, template: StoredVersion, sha256: string, index: number): void {
  const { document, weightsPath } = template
  const config = { ...template.config, lora_alpha: document.rank * (1 + index / 10_000) }
  const digest = digestAdapter(document.format, config, sha256)
  const adapter = registeredName(index)
  const dir = join(parent, adapter, digestFolder(digest))
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, VERSION_FILE), renderVersion({ ...document, adapter, digest, version: 1 }))
  writeFileSync(join(dir, CONFIG_FILE), JSON.stringify(config))
  linkSync(weightsPath, join(dir, basename(weightsPath)))
}
