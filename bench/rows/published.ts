import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { messageOf } from '../../src/core/errors.ts'
import type { Row } from '../../src/bench/report.ts'
import type { BenchContext, BenchPrecision } from '../context.ts'
import { BASE, ROWS } from '../context.ts'
import type { Group, Progress } from '../groups.ts'
import { figure, promise, unmeasured } from '../groups.ts'
import { alternate, median } from '../measure/alternate.ts'
import { batchFigures, runBatch } from '../measure/batch.ts'
import { freshPrompt } from '../measure/prompts.ts'
import type { LlamaPeer } from '../peers/llama-peer.ts'

/** By row: Troupe's precision, and llama.cpp's format of the same size. */
const FORMATS: Readonly<Record<string, { readonly precision: BenchPrecision; readonly format: string }>> = {
  'published-bf16': { precision: 'bf16', format: 'F16' },
  'published-int8': { precision: 'int8', format: 'Q8_0' },
}
const CONTESTS = [
  { requests: 1, least: 1.3 },
  { requests: ROWS, least: 3 },
]

/** A checkpoint that people use (`--published DIR`), beside node-llama-cpp. */
export const PUBLISHED: Group = {
  name: 'published',
  rows: Object.keys(FORMATS),
  run: async (context, rows, progress) => {
    const { published } = context.options
    if (published === null) throw new Error('--published DIR names the folder of the checkpoint')
    const model = resolve(published)
    const measured: Row[] = []
    for (const row of rows) measured.push(...(await measure(context, model, FORMATS[row]!, progress)))
    return measured
  },
}

async function measure(
  context: BenchContext,
  model: string,
  { precision, format }: (typeof FORMATS)[string],
  progress: Progress,
): Promise<Row[]> {
  const { vocab_size: vocab } = JSON.parse(readFileSync(join(model, 'config.json'), 'utf8')) as { vocab_size: number }
  const sizes = { ...context.options, vocab }
  const opened = await context.llamaOn(model, precision, 'gguf-published').catch(messageOf)
  const server = await context.startOn(model, precision, context.path('scratch', 'published'), [])
  const runs = new Map<string, () => Promise<number>>()
  for (const { requests } of CONTESTS) {
    runs.set(titleOf(requests, precision, 'Troupe'), async () => {
      const { perSecond } = await runBatch(server, new Array<string>(requests).fill(BASE), sizes)
      return perSecond
    })
    if (typeof opened !== 'string')
      runs.set(titleOf(requests, format, 'node-llama-cpp'), () => peerRun(opened, requests, sizes))
  }
  const samples = await alternate(runs, context.options, progress)
  await server.kill()
  if (typeof opened !== 'string') await opened.close()
  const speeds = new Map([...samples].map(([title, values]) => [title, median(values)]))
  const ratios = CONTESTS.map(({ requests, least }) => {
    const name = `published checkpoint, ${requestsText(requests)}: Troupe ${precision} / node-llama-cpp ${format}`
    const own = speeds.get(titleOf(requests, precision, 'Troupe'))!
    const others = speeds.get(titleOf(requests, format, 'node-llama-cpp'))
    if (others === undefined) return unmeasured(name, '×', `≥ ${least}`, `not measured: ${opened as string}`)
    return promise(name, own / others, '×', { least })
  })
  return [...ratios, ...[...speeds].map(([title, speed]) => figure(title, speed, 'tokens/s'))]
}

async function peerRun(
  peer: LlamaPeer,
  requests: number,
  { promptTokens, newTokens, vocab }: { promptTokens: number; newTokens: number; vocab: number },
): Promise<number> {
  const prompts = Array.from({ length: requests }, () => freshPrompt(promptTokens, vocab))
  return batchFigures(await peer.run('sequences', prompts, newTokens), newTokens).perSecond
}

function titleOf(requests: number, format: string, who: string): string {
  return `published checkpoint, ${requestsText(requests)}, ${who} ${format}`
}

function requestsText(requests: number): string {
  return requests === 1 ? 'one request' : `${requests} requests`
}
