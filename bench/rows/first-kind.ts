import { streamCompletion } from '../../src/bench/completion-stream.ts'
import { BASE } from '../context.ts'
import type { BenchContext } from '../context.ts'
import type { Group } from '../groups.ts'
import { figure, promise } from '../groups.ts'
import { median } from '../measure/alternate.ts'
import { completionBody, runBatch } from '../measure/batch.ts'
import { freshPrompt } from '../measure/prompts.ts'
import { adapterName } from '../synthetic/adapters.ts'
import type { AdapterKind } from '../synthetic/adapters.ts'

/** What every new server has met before: reading from the store has begun, so that only the kind is new. */
const KNOWN: AdapterKind = 'rank-16'
/** Kinds that it has not: another rank, other sites, another method. */
const KINDS: readonly AdapterKind[] = ['rank-8', 'query-value', 'bottleneck']

/** What it costs that no adapter of a kind was ever asked for: beyond another cold one of the kind, which takes as long to read. */
export const FIRST_KIND: Group = {
  name: 'first-kind',
  rows: ['first-kind'],
  run: async (context, _rows, progress) => {
    const shared = await context.server()
    for (const kind of [KNOWN, ...KINDS]) await context.adapters(shared, kind, 2)
    const { rounds } = context.options
    const found: Sample[] = []
    for (let round = 0; round < rounds; round++) {
      found.push(...(await newServer(context)))
      progress(round + 1, rounds, 'kinds of adapters that a server has not met')
    }
    const beyond = median(found.map(({ first, second }) => first - second))
    const step = median(found.map((sample) => sample.step))
    return [
      promise('first request on a kind of adapter never seen, beyond a cold one of it', beyond / step, 'steps', {
        most: 1,
      }),
      figure('first token, kind never seen', median(found.map(({ first }) => first)), 'ms'),
      figure('first token, another cold adapter of the kind', median(found.map(({ second }) => second)), 'ms'),
      figure('step at batch 1', step, 'ms'),
    ]
  },
}

/** Milliseconds to the first tokens of two cold adapters of a kind, the first ones of it, and of a step of the base. */
interface Sample {
  readonly first: number
  readonly second: number
  readonly step: number
}

async function newServer(context: BenchContext): Promise<Sample[]> {
  const { promptTokens } = context.options
  const server = await context.start(context.path('store'), ['--memory-bytes', '1GiB'])
  const firstToken = async (kind: AdapterKind, index: number): Promise<number> => {
    const body = completionBody(adapterName(kind, index), freshPrompt(promptTokens), 1)
    const { startedAt, arrivals } = await streamCompletion(server, body)
    return arrivals[0]! - startedAt
  }
  await firstToken(KNOWN, 0)
  await firstToken(KNOWN, 1)
  const { decodePerSecond } = await runBatch(server, [BASE], context.options)
  const samples: Sample[] = []
  for (const kind of KINDS) {
    const first = await firstToken(kind, 0)
    samples.push({ first, second: await firstToken(kind, 1), step: 1000 / decodePerSecond })
  }
  await server.kill()
  return samples
}
