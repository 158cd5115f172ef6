import { existsSync, readFileSync, readdirSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { TroupeError, messageOf } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import { isJsonObject, parseJsonObject } from '../core/json.ts'
import type { SafetensorsFile } from '../safetensors/file.ts'
import type { TensorEntry } from '../safetensors/header.ts'
import { openSafetensors } from '../safetensors/file.ts'

const CONFIG = 'config.json'
const SINGLE = 'model.safetensors'
const INDEX = 'model.safetensors.index.json'
const SHARD = /^(.+)-(\d+)-of-(\d{1,6})\.safetensors$/

/** The file that has a tensor, and the tensor's name in it. */
interface Home {
  readonly file: SafetensorsFile
  readonly name: string
}

/** A Hugging Face model folder with its weight files open. Symbolic links are followed. */
export class Checkpoint {
  readonly dir: string
  readonly config: JsonObject
  /** Real paths of the configuration and of every weight file. */
  readonly paths: readonly string[]
  readonly #files: readonly SafetensorsFile[]
  #home: ReadonlyMap<string, Home>

  constructor(dir: string, config: JsonObject, files: ReadonlyMap<string, SafetensorsFile>) {
    this.dir = dir
    this.config = config
    this.paths = [realpathSync(join(dir, CONFIG)), ...files.keys()]
    this.#files = [...files.values()]
    const home = new Map<string, Home>()
    for (const file of this.#files) {
      for (const name of file.tensors.keys()) {
        if (home.has(name)) throw refusal(name, `${dir}: tensor "${name}" is in more than one weight file`)
        home.set(name, { file, name })
      }
    }
    this.#home = home
  }

  /** Names of all tensors, sorted. */
  get tensorNames(): string[] {
    return [...this.#home.keys()].sort()
  }

  has(name: string): boolean {
    return this.#home.has(name)
  }

  entry(name: string): TensorEntry {
    const home = this.#find(name)
    return home.file.entry(home.name)
  }

  /** Gives every tensor the name that `rename` returns; null: the checkpoint forgets it. */
  rename(rename: (name: string) => string | null): void {
    const home = new Map<string, Home>()
    for (const [name, place] of this.#home) {
      const renamed = rename(name)
      if (renamed === null) continue
      if (home.has(renamed)) throw refusal(name, `${this.dir}: "${name}" is there under two names`)
      home.set(renamed, place)
    }
    this.#home = home
  }

  /** See `SafetensorsFile.readF32`. */
  readF32(name: string, into?: Float32Array, start = 0): Float32Array {
    const home = this.#find(name)
    return home.file.readF32(home.name, into, start)
  }

  /** A whole tensor of 32-bit integers. */
  readI32(name: string): Int32Array {
    const { dtype, bytes } = this.entry(name)
    if (dtype !== 'I32' && dtype !== 'U32') throw refusal(name, `${this.dir}: tensor "${name}" is ${dtype}, not I32`)
    const values = new Int32Array(bytes / 4)
    this.readBytes(name, new Uint8Array(values.buffer))
    return values
  }

  /** See `SafetensorsFile.readBytes`. */
  readBytes(name: string, target: Uint8Array, start = 0): void {
    const home = this.#find(name)
    home.file.readBytes(home.name, target, start)
  }

  close(): void {
    for (const file of this.#files) file.close()
  }

  #find(name: string): Home {
    const home = this.#home.get(name)
    if (home === undefined) throw refusal(name, `${this.dir}: no weight file has the tensor "${name}"`)
    return home
  }
}

/**
 * Opens `config.json` and `model.safetensors` (or the shards that `model.safetensors.index.json` lists).
 *
 * @throws TroupeError `invalid_model` naming the file or tensor at fault
 */
export function openCheckpoint(dir: string): Checkpoint {
  checkFolder(dir)
  const config = readJson(dir, CONFIG)
  const { names, index } = weightFiles(dir)
  const files = new Map<string, SafetensorsFile>()
  try {
    for (const name of names) {
      const path = realpathSync(join(dir, name))
      files.set(path, openSafetensors(path, 'invalid_model', join(dir, name)))
    }
    const checkpoint = new Checkpoint(dir, config, files)
    const missing = index.find((name) => !checkpoint.has(name))
    if (missing !== undefined) throw refusal(missing, `${dir}: ${INDEX} lists "${missing}", but no shard has it`)
    return checkpoint
  } catch (error) {
    for (const file of files.values()) file.close()
    throw error
  }
}

/** @throws TroupeError `invalid_model` saying what is at the path instead of a model's folder */
function checkFolder(dir: string): void {
  const found = statSync(dir, { throwIfNoEntry: false })
  if (found?.isDirectory()) {
    if (!existsSync(join(dir, CONFIG)) && existsSync(join(dir, 'adapter_config.json')))
      throw refusal(dir, `${dir} is an adapter, not a base model: import it (troupe adapters import)`)
    return
  }
  if (!found) throw refusal(dir, `the model folder ${dir} does not exist`)
  const kind = dir.endsWith('.gguf') ? 'a GGUF file' : 'a file'
  throw refusal(dir, `${dir} is ${kind}: give the folder of a checkpoint with ${CONFIG} and ${SINGLE}`)
}

/** The weight files to read and, for a sharded checkpoint, the tensors its index promises. */
function weightFiles(dir: string): { names: string[]; index: string[] } {
  if (existsSync(join(dir, SINGLE))) return { names: [SINGLE], index: [] }
  if (!existsSync(join(dir, INDEX))) {
    return { names: shardsWithoutIndex(dir), index: [] }
  }
  const weightMap = readJson(dir, INDEX)['weight_map']
  if (!isJsonObject(weightMap)) throw refusal(INDEX, `${dir}/${INDEX} has no object "weight_map"`)
  const names = new Set<string>()
  for (const [tensor, name] of Object.entries(weightMap)) {
    if (typeof name !== 'string' || basename(name) !== name || dirname(name) !== '.') {
      throw refusal(tensor, `${dir}/${INDEX}: "${tensor}" must name a file of the same folder`)
    }
    if (!existsSync(join(dir, name))) throw refusal(name, `${dir}: the shard ${name} is missing (download it again)`)
    names.add(name)
  }
  return { names: [...names].sort(), index: Object.keys(weightMap) }
}

/** All shards of a checkpoint whose index was not downloaded: their names say how many there are. */
function shardsWithoutIndex(dir: string): string[] {
  const names = readdirSync(dir)
  const shard = names.map((name) => SHARD.exec(name)).find((match) => match !== null)
  if (!shard) {
    const other = names.find((name) => /\.(gguf|bin|pth|safetensors)$/.test(name))
    const found = other === undefined ? '' : `, only ${other}`
    throw refusal(SINGLE, `${dir} has neither ${SINGLE} nor ${INDEX}${found}: save the model as safetensors`)
  }
  const [, stem, , count] = shard as unknown as [string, string, string, string]
  const expected = Array.from({ length: Number(count) }, (_, i) => {
    return `${stem}-${String(i + 1).padStart(count.length, '0')}-of-${count}.safetensors`
  })
  const missing = expected.find((name) => !names.includes(name))
  if (missing !== undefined) throw refusal(missing, `${dir}: the shard ${missing} is missing (download it again)`)
  return expected
}

function readJson(dir: string, name: string): JsonObject {
  const path = join(dir, name)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new TroupeError('invalid_model', `${path} cannot be read: ${messageOf(cause)}`, { param: name, cause })
  }
  return parseJsonObject(text, path, 'invalid_model')
}

function refusal(param: string, message: string): TroupeError {
  return new TroupeError('invalid_model', message, { param })
}

/** What a model folder is called: by its path, and by `_name_or_path` in its configuration, which is what training saves into adapters. */
export function checkpointNames(dir: string): string[] {
  const config = readJson(dir, 'config.json')
  const named = config['_name_or_path']
  return [resolve(dir), ...(typeof named === 'string' && named !== '' ? [named] : [])]
}
