import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Files } from '../../chaos/scenarios/adapters.ts'
import { readFolder } from '../../support/client.ts'
import { modelDir } from '../../support/fixtures.ts'
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
