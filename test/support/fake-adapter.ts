import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { AdapterWeights } from '../../src/core/branch.ts'
import { TroupeError } from '../../src/core/errors.ts'
import type { AdapterReader } from '../../src/residency/loader-messages.ts'
import type { Staging } from '../../src/intake/staging.ts'

/** What a fake weights file says. */
export interface FakeAdapter {
  /** By how much it changes every log-probability. */
  readonly effect: number
  readonly bytes?: number
  /** Tells adapters of the same effect apart. */
  readonly salt?: string
}

export const FAKE_CONFIG = '{"peft_type":"LORA"}'

export function fakeFile(adapter: FakeAdapter): string {
  return JSON.stringify({ bytes: 100, salt: '', ...adapter })
}

export function fakeDigest(adapter: FakeAdapter): string {
  return `sha256:${createHash('sha256').update(fakeFile(adapter)).digest('hex')}`
}

export function fakeWeights(digest: string, effect: number, bytes: number): AdapterWeights {
  const shared = new SharedArrayBuffer(8)
  const down = new Float32Array(shared, 0, 1).fill(effect)
  const up = new Float32Array(shared, 4, 1)
  const branch = {
    layer: 0,
    kind: 'q_proj',
    rank: 1,
    scale: 1,
    activation: 'identity',
    down,
    up,
    a: null,
    c: null,
  } as const
  return { digest, method: 'lora', branches: [branch], gains: [], virtualTokens: null, tokenRows: null, bytes }
}

/** Reads the files `fakeFile` writes; what is not JSON is an invalid adapter. */
export const readFakeAdapter: AdapterReader = async (dir) => {
  const text = await readFile(join(dir, 'adapter_model.safetensors'), 'utf8').catch((cause: unknown) => {
    throw new TroupeError('invalid_adapter', 'adapter_model.safetensors is missing', { cause })
  })
  let content: { effect: number; bytes: number }
  try {
    content = JSON.parse(text) as typeof content
  } catch (cause) {
    throw new TroupeError('invalid_adapter', 'adapter_model.safetensors: the header is broken', { cause })
  }
  const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`
  return {
    weights: fakeWeights(digest, content.effect, content.bytes),
    description: {
      format: 'peft',
      method: 'lora',
      rank: 1,
      sites: ['layers.0.q_proj'],
      virtualTokens: 0,
      tokens: null,
      parameters: 2,
      bytes: content.bytes,
      baseModel: null,
      warnings: [],
    },
  }
}

/** Puts the files of an adapter into a staging folder. */
export async function stageFake(staging: Staging, adapter: FakeAdapter): Promise<Staging> {
  await dropFake(staging.dir, fakeFile(adapter))
  return staging
}

/** Puts the files of an adapter into any folder, as a person would. */
export function dropFake(dir: string, weights: string): Promise<void> {
  // At once: what makes the store's own operations fail must not reach these.
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'adapter_config.json'), FAKE_CONFIG)
  writeFileSync(join(dir, 'adapter_model.safetensors'), weights)
  return Promise.resolve()
}
