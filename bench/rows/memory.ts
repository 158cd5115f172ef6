import { streamCompletion } from '../../src/bench/completion-stream.ts'
import { prepareModel } from '../../src/model/prepare.ts'
import { Client } from '../../test/support/client.ts'
import { scrape } from '../../test/support/scrape.ts'
import type { BenchContext } from '../context.ts'
import { BASE, ROWS } from '../context.ts'
import type { Group } from '../groups.ts'
import { figure, promise, unmeasured } from '../groups.ts'
import { completionBody, runBatch } from '../measure/batch.ts'
import { freshPrompt } from '../measure/prompts.ts'
import { residentBytes } from '../measure/resident.ts'
import type { Row } from '../../src/bench/report.ts'
import { SHAPES } from '../synthetic/shapes.ts'
import { LINEAR } from '../synthetic/shapes.ts'

const KV_BYTES = 2 ** 28
/** The keys and values, in f32, of as many slots of so many tokens as version 0.1 had by default. */
const SLOTS = 16
const SLOT_TOKENS = 2048
const SEQUENCE_TOKENS = 200
const RANK = 16

/** What a server holds, and how many sequences that lets run. */
export const MEMORY: Group = {
  name: 'memory',
  rows: ['resident', 'sequences'],
  run: async (context, rows, progress) => [
    ...(rows.has('resident') ? await resident(context, () => progress(1, 2, 'resident memory')) : []),
    ...(rows.has('sequences') ? await sequences(context, () => progress(2, 2, 'sequences at once')) : []),
  ],
}

async function resident(context: BenchContext, done: () => void): Promise<Row[]> {
  const name = 'resident memory with 16 hot rank-16 adapters / (base file + adapters in bf16 + KV bytes)'
  if (process.platform !== 'linux') return [unmeasured(name, '×', '≤ 1.15', 'read from /proc, which only Linux has')]
  const folders = { modelDir: context.model(), cacheDir: context.path('prepared') }
  const { manifest } = await prepareModel({ ...folders, precision: context.options.precision, name: BASE })
  const file = Object.values(manifest.tensors).reduce((sum, { bytes }) => sum + bytes, 0)
  await context.adapters(await context.server(), 'rank-16', ROWS)
  const server = await context.start(context.path('store'), ['--memory-bytes', '2GiB', '--kv-bytes', `${KV_BYTES}`])
  const names = await context.adapters(server, 'rank-16', ROWS)
  await runBatch(server, names, context.options)
  await runBatch(server, names, context.options)
  const bytes = residentBytes(server.pid)
  await server.kill()
  const adapters = ROWS * RANK * 2 * LINEAR.reduce((sum, { inDim, outDim }) => sum + inDim + outDim, 0) * SHAPES.layers
  done()
  return [
    promise(name, bytes / (file + adapters + KV_BYTES), '×', { most: 1.15 }),
    figure('resident memory', bytes / 1e6, 'MB'),
    figure('base file', file / 1e6, 'MB'),
    figure('16 rank-16 adapters in bf16', adapters / 1e6, 'MB'),
  ]
}

async function sequences(context: BenchContext, done: () => void): Promise<Row[]> {
  const perToken = SHAPES.layers * 2 * SHAPES.kvHeads * SHAPES.headDim * 4
  const kvBytes = SLOTS * SLOT_TOKENS * perToken
  // The setting that bounds rows is not what is measured here.
  const flags = ['--kv-bytes', `${kvBytes}`, '--kv-precision', 'f32', '--max-batch', '256']
  const server = await context.start(context.path('store'), flags)
  const client = new Client(server.url)
  const stop = new AbortController()
  const asked = 200
  const clients = Array.from({ length: asked }, async () => {
    const body = completionBody(BASE, freshPrompt(16), SEQUENCE_TOKENS - 16)
    await streamCompletion(server, body, { signal: stop.signal }).catch(() => undefined)
  })
  let most = 0
  const all = Promise.all(clients)
  const ended = all.then(() => true)
  while (!(await Promise.race([ended, new Promise<false>((resolve) => setTimeout(() => resolve(false), 250))]))) {
    most = Math.max(most, (await scrape(client)).get('troupe_engine_running') ?? 0)
  }
  await server.kill()
  done()
  const name = `sequences of ${SEQUENCE_TOKENS} tokens that run at once in the KV memory of ${SLOTS} slots × ${SLOT_TOKENS}`
  return [promise(name, most, '', { least: 150 })]
}
