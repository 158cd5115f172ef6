import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Client } from '../support/client.ts'
import { adapterFiles, badFiles, modelDir } from '../support/fixtures.ts'
import type { RunningServer } from '../support/server.ts'
import { startTestServer } from '../support/server.ts'
import { blobFolders } from '../support/store-folder.ts'

interface ErrorBody {
  readonly error: { readonly code: string; readonly message: string; readonly param: string | null }
}

type Files = Record<string, Uint8Array>

const CONFIG = 'adapter_config.json'
const WEIGHTS = 'adapter_model.safetensors'

let server: RunningServer
let client: Client

beforeAll(async () => {
  server = await startTestServer({ model: modelDir('llama'), maxBatch: 2 })
  client = new Client(server.url)
})
afterAll(() => server.close())

/** A good adapter with its weights or config changed. */
function changed(change: (files: Files) => void): Files {
  const files = adapterFiles('llama', 'lora-r4')
  change(files)
  return files
}

/** Rewrites the JSON header of a safetensors file. */
function withHeader(
  files: Files,
  edit: (header: Record<string, { shape: number[]; data_offsets: number[] }>) => void,
): void {
  const bytes = Buffer.from(files[WEIGHTS]!)
  const length = Number(bytes.readBigUInt64LE())
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Parameters<typeof edit>[0]
  edit(header)
  const text = Buffer.from(JSON.stringify(header))
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(text.length))
  files[WEIGHTS] = Buffer.concat([size, text, bytes.subarray(8 + length)])
}

function withConfig(files: Files, edit: (config: Record<string, unknown>) => void): void {
  const config = JSON.parse(Buffer.from(files[CONFIG]!).toString()) as Record<string, unknown>
  edit(config)
  files[CONFIG] = Buffer.from(JSON.stringify(config))
}

const firstTensor = (header: Record<string, unknown>): string =>
  Object.keys(header).find((key) => key !== '__metadata__')!

const CASES: { name: string; files: () => Files; code: string; says: RegExp }[] = [
  {
    name: 'truncated weights',
    files: () => changed((files) => (files[WEIGHTS] = files[WEIGHTS]!.subarray(0, -1000))),
    code: 'invalid_adapter',
    says: /adapter_model\.safetensors/,
  },
  {
    name: 'a header longer than the file',
    files: () =>
      changed(
        (files) =>
          (files[WEIGHTS] = Buffer.concat([Buffer.from([255, 255, 255, 5, 0, 0, 0, 0]), files[WEIGHTS]!.subarray(8)])),
      ),
    code: 'invalid_adapter',
    says: /header/,
  },
  {
    name: 'offsets that lie',
    files: () =>
      changed((files) => withHeader(files, (header) => (header[firstTensor(header)]!.data_offsets[1]! += 4))),
    code: 'invalid_adapter',
    says: /lora_[AB]/,
  },
  {
    name: 'a shape that is not the rank’s',
    files: () => changed((files) => withConfig(files, (config) => (config['r'] = 8))),
    code: 'invalid_adapter',
    says: /rank|r /,
  },
  {
    name: 'a module the model does not have',
    files: () =>
      changed((files) =>
        withHeader(files, (header) => {
          for (const name of Object.keys(header).filter((key) => key.includes('layers.0.'))) {
            header[name.replace('layers.0.', 'layers.7.')] = header[name]!
            delete header[name]
          }
        }),
      ),
    code: 'base_mismatch',
    says: /layers\.7/,
  },
  {
    name: 'NaN in a tensor',
    files: () =>
      changed((files) =>
        Buffer.from(files[WEIGHTS]!.buffer).fill(0xff, files[WEIGHTS]!.byteOffset + files[WEIGHTS]!.length - 8),
      ),
    code: 'invalid_adapter',
    says: /lora_.*(NaN|finite)/i,
  },
  { name: 'a pickle', files: () => badFiles('lora-pickle'), code: 'pickle_refused', says: /safetensors/ },
  { name: 'a pickled bottleneck', files: () => badFiles('bn-pickle'), code: 'pickle_refused', says: /safetensors/ },
  {
    name: 'an adapter for another base',
    files: () => badFiles('lora-other-base'),
    code: 'base_mismatch',
    says: /48.*64|64.*48/,
  },
  {
    name: 'a bottleneck for another base',
    files: () => badFiles('bn-other-base'),
    code: 'base_mismatch',
    says: /48.*64|64.*48/,
  },
  {
    name: 'a DoRA without its magnitudes',
    files: () => changed((files) => withConfig(files, (config) => (config['use_dora'] = true))),
    code: 'invalid_adapter',
    says: /no lora_magnitude_vector/,
  },
  {
    name: 'a LoRA that changed the base model too',
    files: () => changed((files) => withConfig(files, (config) => (config['init_lora_weights'] = 'pissa'))),
    code: 'unsupported_adapter',
    says: /init_lora_weights/,
  },
  {
    name: 'modules_to_save',
    files: () => badFiles('lora-modules-to-save'),
    code: 'unsupported_adapter',
    says: /modules_to_save/,
  },
  { name: 'a gated bottleneck', files: () => badFiles('bn-gating'), code: 'unsupported_adapter', says: /gat/ },
  {
    name: 'a bottleneck with its own norm',
    files: () => badFiles('bn-ln-after'),
    code: 'unsupported_adapter',
    says: /ln_after/,
  },
  {
    name: 'an invertible bottleneck',
    files: () => badFiles('bn-invertible'),
    code: 'unsupported_adapter',
    says: /inv/,
  },
  {
    name: 'no config',
    files: () => changed((files) => delete files[CONFIG]),
    code: 'invalid_adapter',
    says: /adapter_config\.json/,
  },
  {
    name: 'a config that is no JSON',
    files: () => changed((files) => (files[CONFIG] = Buffer.from('{'))),
    code: 'invalid_adapter',
    says: /adapter_config\.json/,
  },
  {
    name: 'an unknown config field',
    files: () => changed((files) => withConfig(files, (config) => (config['warp_drive'] = true))),
    code: 'unsupported_adapter',
    says: /warp_drive/,
  },
]

async function expectServing(): Promise<void> {
  const answer = await client.post('/v1/completions', { model: 'model', prompt: 'Bruno', max_tokens: 2 })
  expect(answer.status).toBe(200)
}

describe('bad uploads', () => {
  it.each(CASES)('$name is refused by name and leaves nothing behind', async ({ files, code, says }) => {
    const answer = await client.upload<ErrorBody>('bad', files())
    expect([answer.status, answer.body.error.code], answer.body.error.message).toEqual([400, code])
    expect(answer.body.error.message).toMatch(says)
    expect(await blobFolders(server.store)).toEqual([])
    const { body: shown } = await client.get<{ versions: { state: string; reason: string }[] }>('/v1/adapters/bad')
    expect(shown.versions.map(({ state }) => state)).not.toContain('ready')
    expect(shown.versions.at(-1)).toMatchObject({ state: 'rejected', reason: `${code}: ${answer.body.error.message}` })
    await expectServing()
  })

  it.each(['../evil', 'a/b/c', 'UPPER', '.hidden', 'x'.repeat(80)])('the name %s is refused', async (name) => {
    const answer = await client.upload<ErrorBody>(name, adapterFiles('llama', 'lora-r4'))
    expect([answer.status, answer.body.error.code]).toEqual([400, 'invalid_request'])
    expect(await blobFolders(server.store)).toEqual([])
  })
})

describe('bad requests', () => {
  it.each([
    { path: '/v1/tasks/nobody/generate', body: { input: 'x' }, status: 404, code: 'task_not_found', says: /nobody/ },
    {
      path: '/v1/completions',
      body: { model: 'nobody', prompt: 'x' },
      status: 404,
      code: 'model_not_found',
      says: /nobody/,
    },
    {
      path: '/v1/completions',
      body: { model: 'model', prompt: 'x', max_tokens: 9999 },
      status: 400,
      code: 'context_length_exceeded',
      says: /256/,
    },
    {
      path: '/v1/completions',
      body: { model: 'model', prompt: 'word '.repeat(500) },
      status: 400,
      code: 'context_length_exceeded',
      says: /256/,
    },
    {
      path: '/v1/completions',
      body: { model: 'model', prompt: [1, 99999] },
      status: 400,
      code: 'invalid_request',
      says: /99999/,
    },
    {
      path: '/v1/completions',
      body: { model: 'model', prompt: 'x', temperature: '1' },
      status: 400,
      code: 'invalid_request',
      says: /temperature/,
    },
    { path: '/v1/completions', body: { model: 'model' }, status: 400, code: 'invalid_request', says: /prompt/ },
    {
      path: '/v1/completions',
      body: { model: 'model', prompt: '', add_special_tokens: false },
      status: 400,
      code: 'invalid_request',
      says: /prompt/,
    },
    { path: '/v1/nowhere', body: {}, status: 404, code: 'not_found', says: /nowhere/ },
  ])('$path $body → $status $code', async ({ path, body, status, code, says }) => {
    const answer = await client.post<ErrorBody>(path, body)
    expect([answer.status, answer.body.error.code], answer.body.error.message).toEqual([status, code])
    expect(answer.body.error.message).toMatch(says)
    await expectServing()
  })
})
