import { createHash } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { AdapterWeights } from '../../src/core/branch.ts'
import { TroupeError } from '../../src/core/errors.ts'
import type { VersionRecord } from '../../src/registry/records.ts'
import type { AdapterReader } from '../../src/registry/loader-messages.ts'
import type { Staging } from '../../src/registry/store/port.ts'

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
  return { digest, method: 'lora', branches: [branch], gains: [], virtualTokens: null, bytes }
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
      parameters: 2,
      bytes: content.bytes,
      baseModel: null,
      warnings: [],
    },
  }
}

/** Puts the files of an adapter into a staging folder. */
export async function stageFake(staging: Staging, adapter: FakeAdapter): Promise<Staging> {
  await staging.write('adapter_config.json', Readable.from([Buffer.from(FAKE_CONFIG)]))
  await staging.write('adapter_model.safetensors', Readable.from([Buffer.from(fakeFile(adapter))]))
  return staging
}

/** Puts the files of an adapter into any folder, as a person would. */
export async function dropFake(dir: string, weights: string): Promise<void> {
  await mkdir(dir, { recursive: true })
  await writeFile(join(dir, 'adapter_config.json'), FAKE_CONFIG)
  await writeFile(join(dir, 'adapter_model.safetensors'), weights)
}

const AT = '2026-01-02T03:04:05.000Z'

/** `fakeVersion('acme/a', 2)` has the digest `sha256:<four letters of the name and number>…`. */
export function fakeVersion(adapter: string, version: number, digestStart: string): VersionRecord {
  return {
    adapter,
    version,
    digest: `sha256:${digestStart.padEnd(64, '0')}`,
    state: 'ready',
    reason: null,
    createdAt: AT,
    source: 'upload',
    format: 'peft',
    method: 'lora',
    rank: 8,
    sites: ['layers.0.q_proj'],
    virtualTokens: 0,
    parameters: 128,
    bytes: 512,
    deviceBytes: 640,
    probe: { maxDifference: 0.5, kl: 0.1 },
  }
}
