import type { Target } from '../../src/bench/completion-stream.ts'
import { streamCompletion } from '../../src/bench/completion-stream.ts'
import type { ServerProcess } from '../../test/support/server-process.ts'
import type { BenchContext } from '../context.ts'
import { ROWS } from '../context.ts'
import type { Group, Progress } from '../groups.ts'
import { figure, promise } from '../groups.ts'
import { alternate, median } from '../measure/alternate.ts'
import { completionBody, runBatch } from '../measure/batch.ts'
import { freshPrompt } from '../measure/prompts.ts'
import type { Row } from '../../src/bench/report.ts'
import { Noise } from '../synthetic/noise.ts'
import { readStored, registeredName, writeRegistered } from '../synthetic/registered.ts'
import { ZipfRanks } from '../../src/bench/zipf.ts'

const MANY = 10_000
const FEW = 10
const POPULAR = 1_000
const EXPONENT = 1.1
/** Rounds of the comparison of two stores for each of other rows, and how much shorter they are. */
const SHORT = 4
/** Adapters with room in memory; as many as rows have room in the bank. */
const IN_MEMORY = 32

/** Whether many registered adapters cost those that are used. */
export const STORE: Group = {
  name: 'store',
  rows: ['zipf', 'store-size'],
  run: async (context, rows, progress) => [
    ...(rows.has('zipf') ? await zipf(context, progress) : []),
    ...(rows.has('store-size') ? await storeSize(context, progress) : []),
  ],
}

/** 1,000 registered adapters of unequal popularity in a server with room for few of them, beside one in which all that is asked for is hot. */
async function zipf(context: BenchContext, progress: Progress): Promise<Row[]> {
  const requests = ROWS * (context.options.quick ? 1 : 8)
  const store = await registeredStore(context, POPULAR)
  const roomy = await context.server()
  const hot = await context.adapters(roomy, 'rank-16', ROWS)
  const { bytes, deviceBytes } = (await readStored(context.path('store'), hot[0]!)).version
  const roomFor = (adapters: number, each: number): string => `${Math.ceil((adapters + 0.5) * each)}`
  const budgets = ['--memory-bytes', roomFor(IN_MEMORY, bytes), '--bank-bytes', roomFor(ROWS, deviceBytes)]
  const tight = await context.start(store, budgets)

  const noise = new Noise(11)
  const ranks = new ZipfRanks(POPULAR, EXPONENT, () => noise.below(2 ** 30) / 2 ** 30)
  const draw = (): number[] => Array.from({ length: requests }, () => ranks.draw())
  const runs = new Map([
    ['all hot', () => requestsPerSecond(context, roomy, draw(), (rank) => hot[rank % ROWS]!)],
    ['Zipf', () => requestsPerSecond(context, tight, draw(), registeredName)],
  ])
  const samples = await alternate(runs, context.options, progress)
  await tight.kill()
  const speed = (name: string): number => median(samples.get(name)!)
  const name = `${POPULAR} adapters, Zipf ${EXPONENT}, room for ${IN_MEMORY} in memory and ${ROWS} in the bank / all hot`
  return [
    promise(name, speed('Zipf') / speed('all hot'), '×', { least: 0.8 }),
    figure(`${POPULAR} adapters, Zipf ${EXPONENT}`, speed('Zipf'), 'tokens/s'),
    figure('requests of the same sizes, all hot', speed('all hot'), 'tokens/s'),
  ]
}

/** The server that is not measured stands still, so that what it does at rest counts for it alone. Many short rounds see the same of the machine. */
async function storeSize(context: BenchContext, progress: Progress): Promise<Row[]> {
  const { options } = context
  const short = { ...options, rounds: SHORT * options.rounds, newTokens: Math.ceil(options.newTokens / SHORT) }
  const servers: ServerProcess[] = []
  const runs = new Map<string, () => Promise<number>>()
  for (const count of [FEW, MANY]) {
    const server = await context.start(await registeredStore(context, count), ['--memory-bytes', '1GiB'])
    servers.push(server)
    const models = Array.from({ length: ROWS }, (_, row) => registeredName(row % FEW))
    server.pause()
    runs.set(`${count}`, async () => {
      server.resume()
      try {
        return (await runBatch(server, models, short)).perSecond
      } finally {
        server.pause()
      }
    })
  }
  const samples = await alternate(runs, short, progress)
  await Promise.all(servers.map((server) => server.kill()))
  const speed = (count: number): number => median(samples.get(`${count}`)!)
  return [
    promise(`${MANY} adapters in the store / ${FEW}`, speed(MANY) / speed(FEW), '×', { least: 0.98 }),
    figure(`${FEW} adapters in the store`, speed(FEW), 'tokens/s'),
    figure(`${MANY} adapters in the store`, speed(MANY), 'tokens/s'),
  ]
}

async function registeredStore(context: BenchContext, count: number): Promise<string> {
  const names = await context.adapters(await context.server(), 'rank-16', FEW)
  const templates = await Promise.all(names.map((name) => readStored(context.path('store'), name)))
  return writeRegistered(context.path(`registered-${count}`), templates, count)
}

/** Sends the requests from as many clients as there are rows. @returns tokens per second */
async function requestsPerSecond(
  { options }: BenchContext,
  server: Target,
  ranks: readonly number[],
  nameOf: (rank: number) => string,
): Promise<number> {
  const from = performance.now()
  let next = 0
  const client = async (): Promise<void> => {
    while (next < ranks.length) {
      const name = nameOf(ranks[next++]!)
      await streamCompletion(server, completionBody(name, freshPrompt(options.promptTokens), options.newTokens))
    }
  }
  await Promise.all(Array.from({ length: ROWS }, client))
  return (ranks.length * options.newTokens * 1000) / (performance.now() - from)
}
