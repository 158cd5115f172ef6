import { existsSync, readdirSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readKeysFile } from '../tenancy/keys-file.ts'
import { ensureWritableFolder } from '../config/writable-folder.ts'
import { messageOf } from '../core/errors.ts'
import { openCheckpoint } from '../model/checkpoint.ts'
import { checkCoverage } from '../model/coverage.ts'
import { packedWeights } from '../model/packed/packed-weights.ts'
import { readArchitecture } from '../model/families/families.ts'
import { isBucket, openStore } from '../store/open.ts'
import { ChatTemplate } from '../text/chat-template.ts'
import { Tokenizer } from '../text/tokenizer.ts'
import type { Finding } from './doctor.ts'

/** The store can be read and written or, if it is a folder and not there yet, be made; then it is not left behind. */
export async function checkStore(store: string): Promise<Finding> {
  try {
    if (isBucket(store)) {
      const open = await openStore({ location: store, cacheDir: join(tmpdir(), 'troupe-doctor'), cacheBytes: 1 })
      await open.store.close()
      return { ok: true, what: 'store', detail: `${store}: conditional writes work` }
    }
    const isThere = existsSync(store)
    const made = ensureWritableFolder('store', store)
    const detail = isThere ? `${store} (${readdirSync(store).length} entries)` : `${store} will be made`
    for (const folder of [...made].reverse()) rmdirSync(folder)
    return { ok: true, what: 'store', detail }
  } catch (error) {
    return failed('store', error)
  }
}

/** The file of API keys can be read; null when the server would be open. */
export function checkKeys(keys: string | undefined): Finding | null {
  if (keys === undefined) return null
  try {
    const entries = readKeysFile(keys)
    const tenants = new Set(entries.map(({ name }) => name)).size
    return { ok: true, what: 'keys', detail: `${keys} (${entries.length} keys of ${tenants} tenants)` }
  } catch (error) {
    return failed('keys', error)
  }
}

/** An error whose message names the fix after a semicolon. */
export function failed(what: string, error: unknown): Finding {
  const [detail = '', ...fix] = messageOf(error).split('; ')
  return { ok: false, what, detail, fix: fix.join('; ') || `correct the file, or leave the setting \`${what}\` out` }
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
