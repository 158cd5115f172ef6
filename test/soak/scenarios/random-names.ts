import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Files } from '../../chaos/scenarios/adapters.ts'
import { pick } from '../../chaos/scenarios/scale.ts'
import { readFolder } from '../../support/client.ts'
import { modelDir } from '../../support/fixtures.ts'
import type { RandomLoad } from './random.ts'
import { variantOf } from './variants.ts'

/** The model of the random load, and its name. */
export const RANDOM_MODEL = modelDir('llama')
export const BASE = 'model'
export const TASKS = ['task-0', 'task-1', 'task-2'] as const

/** An adapter of the random load: a line of versions made from one template. */
export interface RandomAdapter {
  readonly name: string
  readonly files: Files
  /** Methods like DoRA and virtual tokens cannot be mixed with others; the load knows no variants of them. */
  readonly mixable: boolean
  /** Sequential bottleneck modules can follow each other. */
  readonly stackable: boolean
}

const ADAPTERS = join(RANDOM_MODEL, '../adapters')
const METHODS = join(RANDOM_MODEL, '../../llama-methods/adapters')
/** Versions that requests ask for, newest first. */
const RECENT = 4
const SEQUENTIAL = ['bn-seq', 'bn-double']
const ALONE = ['dora', 'ia3', 'prefix', 'prompt']

/** LoRAs of three ranks, bottleneck modules of three kinds, and one adapter of every other method. */
export function randomAdapters(): RandomAdapter[] {
  const mixable = readdirSync(ADAPTERS).map((name) => {
    return { name, files: readFolder(join(ADAPTERS, name)), mixable: true, stackable: SEQUENTIAL.includes(name) }
  })
  const alone = ALONE.map((name) => {
    return { name, files: readFolder(join(METHODS, name)), mixable: false, stackable: false }
  })
  return [...mixable, ...alone]
}

/** Files of a version that the adapter does not have yet, where it can have others. */
export function versionFiles({ files, mixable }: RandomAdapter, step: number): Files {
  return mixable ? variantOf(files, step) : files
}

/** A random one of the load's adapters; it may be deleted at the time. */
export function adapterAt({ adapters, random }: Pick<RandomLoad, 'adapters' | 'random'>): RandomAdapter {
  return pick(adapters, random())
}

/** One of an adapter's last versions; it may be deleted at the time. */
export function versionAt({ newest, random }: Pick<RandomLoad, 'newest' | 'random'>, adapter: string): string {
  const back = Math.floor(random() * RECENT)
  return `v${Math.max(1, (newest.get(adapter) ?? 1) - back)}`
}
