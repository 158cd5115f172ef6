import { fork } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../../src/core/errors.ts'
import type { Row } from '../../src/bench/report.ts'
import type { PrepareOptions } from '../../src/model/prepare.ts'
import { prepareModel } from '../../src/model/prepare.ts'
import { WEIGHTS_FILE } from '../../src/model/prepared.ts'
import { endAtExit } from '../../test/support/at-exit.ts'
import { Client } from '../../test/support/client.ts'
import type { BenchContext } from '../context.ts'
import { BASE } from '../context.ts'
import type { Group } from '../groups.ts'
import { figure, promise, unmeasured } from '../groups.ts'
import { alternate, median } from '../measure/alternate.ts'
import { batchFigures, runBatch } from '../measure/batch.ts'
import type { Preparation } from '../measure/prepare-process.ts'
import { freshPrompt } from '../measure/prompts.ts'
import { anonymousBytes, residentBytes } from '../measure/resident.ts'
import { adapterName, writeAdapter } from '../synthetic/adapters.ts'
import { writeModel } from '../synthetic/model.ts'
import { linearShapes } from '../synthetic/shapes.ts'

const PRECISION = 'int4'
const ADAPTERS = 8
const RANK = 16
/** Then what the adapters were read into is given back. */
const SETTLE_MS = 15_000
const PREFILL_TOKENS = 512
const PREFILL = 'large base: prefill of 512 tokens'
/** Small budgets, since it is the weights that are measured. */
const BUDGETS = ['--kv-bytes', '256MiB', '--memory-bytes', '2GiB', '--max-context', '1024', '--merged-probe', 'off']

/** A base model of a size that people have (8 billion parameters, 16 GB of disk for the checkpoint alone): memory, preparing, prefill. */
export const EIGHT_BILLION_ROWS: Group = {
  name: '8b',
  rows: ['8b-memory', '8b-prefill'],
  run: async (context, rows, progress) => {
    const model = context.path('large', BASE)
    progress(0, 4, 'the checkpoint')
    writeModel(model, context.options.large)
    const measured: Row[] = []
    progress(1, 4, 'preparing')
    if (rows.has('8b-memory')) measured.push(...(await preparing(context, model)))
    progress(2, 4, 'memory')
    if (rows.has('8b-memory')) measured.push(...(await memory(context, model)))
    progress(3, 4, 'prefill')
    if (rows.has('8b-prefill')) measured.push(...(await prefill(context, model)))
    progress(4, 4, 'done')
    return measured
  },
}

async function preparing(context: BenchContext, modelDir: string): Promise<Row[]> {
  const cacheDir = context.path('scratch', 'prepared')
  const child = endAtExit(fork(join(import.meta.dirname, '../measure/prepare-process.ts')))
  child.send({ modelDir, cacheDir, precision: PRECISION } satisfies PrepareOptions)
  const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`preparing ended with ${String(code)}`)))
  const [{ cpuSeconds, seconds, mostBytes }] = (await Promise.race([once(child, 'message'), ended])) as [Preparation]
  ended.catch(() => undefined)
  rmSync(cacheDir, { recursive: true, force: true })
  return [
    figure('large base: preparing', cpuSeconds, 'CPU s'),
    figure('large base: preparing, by the clock', seconds, 's'),
    figure('large base: most memory while preparing', mostBytes / 1e6, 'MB'),
  ]
}

async function memory(context: BenchContext, model: string): Promise<Row[]> {
  const names = [
    'large base: memory at rest / its file',
    'large base: with 8 rank-16 adapters beyond that / their bytes',
  ]
  if (process.platform !== 'linux')
    return names.map((name) => unmeasured(name, '×', '≤ 1.1', 'read from /proc, which only Linux has'))
  const server = await context.startOn(model, PRECISION, context.path('large', 'store'), BUDGETS)
  const sizes = { promptTokens: 32, newTokens: 4, vocab: context.options.large.vocab }
  await runBatch(server, [BASE], sizes)
  const rest = residentBytes(server.pid)
  const client = new Client(server.url)
  const adapters = Array.from({ length: ADAPTERS }, (_, index) => adapterName('rank-16', index))
  for (const [index, name] of adapters.entries()) {
    if ((await client.get(`/v1/adapters/${name}`)).status === 200) continue
    const folder = writeAdapter(context.path('large', 'adapters'), 'rank-16', index, context.options.large)
    const { status, body } = await client.uploadFolder(name, folder)
    if (status !== 201) throw new Error(`${name} was refused: ${JSON.stringify(body)}`)
  }
  await server.kill()
  // Anew, without what the uploads needed.
  const again = await context.startOn(model, PRECISION, context.path('large', 'store'), BUDGETS)
  // As many sequences on the base first. Pages of the file come into memory as tokens are looked up: they are no adapter's.
  await runBatch(again, new Array<string>(ADAPTERS).fill(BASE), sizes)
  const before = anonymousBytes(again.pid)
  await runBatch(again, adapters, sizes)
  await sleep(SETTLE_MS)
  const after = anonymousBytes(again.pid)
  await again.kill()
  const file = await fileBytes(context, model)
  const bytes = adapterBytes(context)
  return [
    promise(names[0]!, rest / file, '×', { most: 1.1 }),
    promise(names[1]!, (after - before) / bytes, '×', { most: 1.1 }),
    figure('large base: memory at rest', rest / 1e6, 'MB'),
    figure('large base: its file', file / 1e6, 'MB'),
    figure('large base: 8 rank-16 adapters in bf16', bytes / 1e6, 'MB'),
  ]
}

async function fileBytes(context: BenchContext, modelDir: string): Promise<number> {
  const { dir } = await prepareModel({ modelDir, cacheDir: context.path('prepared'), precision: PRECISION })
  return statSync(join(dir, WEIGHTS_FILE)).size
}

function adapterBytes({ options }: BenchContext): number {
  const perLayer = linearShapes(options.large).reduce((sum, { inDim, outDim }) => sum + inDim + outDim, 0)
  return ADAPTERS * RANK * 2 * perLayer * options.large.layers
}

async function prefill(context: BenchContext, model: string): Promise<Row[]> {
  const { vocab } = context.options.large
  const sizes = { promptTokens: PREFILL_TOKENS, newTokens: 1, vocab }
  const opened = await context.llamaOn(model, PRECISION, 'gguf-large').catch(messageOf)
  const server = await context.startOn(model, PRECISION, context.path('large', 'store'), BUDGETS)
  const runs = new Map([['Troupe', async () => (await runBatch(server, [BASE], sizes)).firstTokenMs]])
  if (typeof opened !== 'string')
    runs.set('node-llama-cpp', async () => {
      const peer = await opened.run('sequences', [freshPrompt(PREFILL_TOKENS, vocab)], 1)
      return batchFigures(peer, 1).firstTokenMs
    })
  const samples = await alternate(runs, context.options)
  await server.kill()
  if (typeof opened !== 'string') await opened.close()
  const speeds = new Map([...samples].map(([who, values]) => [who, (PREFILL_TOKENS / median(values)) * 1000]))
  const others = speeds.get('node-llama-cpp')
  const name = `${PREFILL}, Troupe / node-llama-cpp`
  const ratio =
    others === undefined
      ? unmeasured(name, '×', '≥ 2', `not measured: ${opened as string}`)
      : promise(name, speeds.get('Troupe')! / others, '×', { least: 2 })
  return [ratio, ...[...speeds].map(([who, speed]) => figure(`${PREFILL}, ${who}`, speed, 'tokens/s'))]
}
