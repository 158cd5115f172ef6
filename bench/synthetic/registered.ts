import { existsSync, linkSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { AdapterInspection } from '../../src/adapters/read.ts'
import { inspectAdapter } from '../../src/adapters/read.ts'
import { digestAdapter, sha256File } from '../../src/adapters/digest.ts'
import { CONFIG_FILE, recogniseFiles } from '../../src/adapters/files.ts'
import { digestFolder, renderVersion, VERSION_FILE } from '../../src/registry/store/documents.ts'
import type { VersionDocument } from '../../src/registry/store/port.ts'

/** The base model that the versions were accepted for. */
export type Base = VersionDocument['base']

interface Template {
  readonly weights: string
  readonly sha256: string
  readonly inspection: AdapterInspection
}

export function registeredName(index: number): string {
  return `registered-${index}`
}

/**
 * Writes a store with `count` registered LoRA adapters, unless it is there. They share the weights of a few (hard links), and each has an alpha
 * and so a digest of its own: a server treats them as different in every respect.
 */
export function writeRegistered(store: string, templates: readonly string[], count: number, base: Base): string {
  if (existsSync(store)) return store
  const partial = `${store}.partial`
  rmSync(partial, { recursive: true, force: true })
  const read = templates.map((dir) => readTemplate(dir))
  for (let index = 0; index < count; index++) {
    writeVersion(join(partial, 'adapters'), read[index % read.length]!, index, base)
  }
  renameSync(partial, store)
  return store
}

function readTemplate(dir: string): Template {
  const inspection = inspectAdapter(dir)
  const weights = join(dir, recogniseFiles(readdirSync(dir)).weights)
  return { weights, sha256: sha256File(weights), inspection }
}

function writeVersion(parent: string, { weights, sha256, inspection }: Template, index: number, base: Base): void {
  const { description } = inspection
  const { format, method, rank, sites, parameters, bytes } = description
  const config = { ...inspection.config, lora_alpha: rank * (1 + index / 10_000) }
  const document: VersionDocument = {
    adapter: registeredName(index),
    version: 1,
    digest: digestAdapter(format, config, sha256),
    createdAt: new Date(1_700_000_000_000 + index * 1_000).toISOString(),
    createdBy: 'bench',
    source: 'upload',
    ...{ format, method, rank, sites, parameters, bytes },
    probe: null,
    base,
  }
  const dir = join(parent, document.adapter, digestFolder(document.digest))
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, VERSION_FILE), renderVersion(document))
  writeFileSync(join(dir, CONFIG_FILE), JSON.stringify(config))
  linkSync(weights, join(dir, basename(weights)))
}
