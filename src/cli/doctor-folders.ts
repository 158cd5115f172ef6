import { accessSync, constants, existsSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { openCheckpoint } from '../model/checkpoint.ts'
import { checkCoverage } from '../model/coverage.ts'
import { packedWeights } from '../model/packed/packed-weights.ts'
import { readArchitecture } from '../model/families/families.ts'
import { isBucket, openStore } from '../store/open.ts'
import { ChatTemplate } from '../text/chat-template.ts'
import { Tokenizer } from '../text/tokenizer.ts'
import type { Finding } from './doctor.ts'

/** The store can be read and written or, if it is a folder and not there yet, be made. */
export async function checkStore(store: string): Promise<Finding> {
  try {
    if (isBucket(store)) {
      const open = await openStore({ location: store, cacheDir: join(tmpdir(), 'troupe-doctor'), cacheBytes: 1 })
      await open.store.close()
      return { ok: true, what: 'store', detail: `${store}: conditional writes work` }
    }
    const isThere = existsSync(store)
    accessSync(isThere ? store : nearestFolder(store), constants.R_OK | constants.W_OK)
    const detail = isThere ? `${store} (${readdirSync(store).length} entries)` : `${store} will be made`
    return { ok: true, what: 'store', detail }
  } catch (error) {
    const fix = 'give this user the right to read and write it, or choose another with --store'
    return { ok: false, what: 'store', detail: messageOf(error), fix }
  }
}

/** The checkpoint is complete and of a family that can be served. */
export function checkModel(model: string): Finding {
  try {
    const checkpoint = openCheckpoint(model)
    try {
      const architecture = readArchitecture(checkpoint.config)
      checkCoverage(checkpoint, architecture, packedWeights(checkpoint, architecture.modules))
      const { family, layers, hidden, maxContext } = architecture
      const shape = `${family}, ${layers} layers of ${hidden}, context ${maxContext}`
      return { ok: true, what: 'model', detail: `${model} (${shape})` }
    } finally {
      checkpoint.close()
    }
  } catch (error) {
    const fix = 'give the folder of a complete Hugging Face checkpoint with --model'
    return { ok: false, what: 'model', detail: messageOf(error), fix }
  }
}

export async function checkTokenizer(model: string): Promise<Finding> {
  try {
    const tokenizer = await Tokenizer.load(model)
    const template = await ChatTemplate.load(model)
    const detail = `${tokenizer.vocabSize} tokens, ${template.available ? 'with' : 'without'} chat template`
    return { ok: true, what: 'tokenizer', detail }
  } catch (error) {
    const fix = 'copy the tokenizer’s files into the model folder'
    return { ok: false, what: 'tokenizer', detail: messageOf(error), fix }
  }
}

function nearestFolder(path: string): string {
  const parent = dirname(path)
  return existsSync(parent) || parent === path ? parent : nearestFolder(parent)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
