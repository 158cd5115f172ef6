import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { readAdapter } from '../../src/adapters/read.ts'
import { TroupeError } from '../../src/core/errors.ts'
import { CheckpointWeights } from '../../src/model/base-weights.ts'
import { prepareModel } from '../../src/model/prepare.ts'
import type { Findings } from '../chaos/scenarios/scale.ts'
import { Deadline, Verdict } from '../chaos/scenarios/scale.ts'
import type { Client } from '../support/client.ts'
import { readFolder } from '../support/client.ts'
import { modelDir } from '../support/fixtures.ts'
import { scrape } from '../support/scrape.ts'
import type { Files } from './mutate.ts'
import { mutate } from './mutate.ts'

/** The cases `from` to `from + count` of a seed; fewer when the time is over first. */
export interface FuzzScale {
  readonly seed: number
  readonly from: number
  readonly count: number
  readonly seconds: number
  /** A case that takes longer hangs. */
  readonly maxMs: number
}

/** What may be left over after a run; a server is not asked to tidy up before it is measured. */
const MAX_GROWTH_MIB = 64
/** Cases before memory is measured first: caches are full by then. */
const WARM = 200

const FIXTURES = join(import.meta.dirname, '../fixtures')
const MODEL = 'llama'

/** Adapters to begin with: every one for the model, good or bad, that has a configuration. */
function corpus(): readonly Files[] {
  const parents = ['conformance/llama/adapters', 'conformance/llama-methods/adapters', 'bad']
  return parents.flatMap((parent) => {
    const dir = join(FIXTURES, parent)
    return readdirSync(dir).map((name) => readFolder(join(dir, name)))
  })
}

/** Mutated adapters through the reader: each is accepted, or refused with an error of the catalogue that is the sender's fault. */
export async function fuzzReader(scale: FuzzScale): Promise<Findings> {
  const root = mkdtempSync(join(tmpdir(), 'troupe-fuzz-'))
  try {
    const model = modelDir(MODEL)
    const { manifest } = await prepareModel({ modelDir: model, precision: 'f32', cacheDir: join(root, 'cache') })
    const base = new CheckpointWeights(model)
    const dir = join(root, 'adapter')
    return await run(
      scale,
      async () => heapMib(),
      async (files) => {
        writeFiles(dir, files)
        try {
          readAdapter(dir, manifest.info, base)
          return { accepted: true, fault: null }
        } catch (error) {
          const named =
            error instanceof TroupeError && error.status >= 400 && error.status < 500 && error.message !== ''
          return { accepted: false, fault: named ? null : String(error instanceof Error ? error.stack : error) }
        }
      },
    )
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

/** Mutated adapters through the upload route of a running server: each answers 2xx, or 4xx with a code, and the server lives on. */
export async function fuzzUploads(client: Client, scale: FuzzScale): Promise<Findings> {
  const memory = (): Promise<number> => serverMib(client)
  return run(scale, memory, async (files) => {
    const { status, body } = await client.upload<{ error?: { code?: string; message?: string } }>('fuzz', files)
    const accepted = status === 200 || status === 201
    const named = status >= 400 && status < 500 && Boolean(body.error?.code) && Boolean(body.error?.message)
    return { accepted, fault: accepted || named ? null : `${status} ${JSON.stringify(body)}` }
  })
}

async function run(
  { seed, from, count, seconds, maxMs }: FuzzScale,
  memory: () => Promise<number>,
  judge: (files: Files) => Promise<{ readonly accepted: boolean; readonly fault: string | null }>,
): Promise<Findings> {
  const verdict = new Verdict()
  const deadline = new Deadline(seconds)
  const seeds = corpus()
  let [index, accepted, slowest, heap] = [from, 0, 0, 0]
  for (; index < from + count && !deadline.isOver; index++) {
    if (index === from + WARM) heap = await memory()
    const files = mutate(seeds[index % seeds.length]!, seed, index)
    const begun = performance.now()
    const result = await judge(files)
    const took = performance.now() - begun
    slowest = Math.max(slowest, took)
    if (result.accepted) accepted++
    verdict.expect(result.fault === null, `case ${index}: ${result.fault}`)
    verdict.expect(took <= maxMs, `case ${index} took ${Math.round(took)} ms`)
  }
  const cases = index - from
  const growth = cases > WARM ? (await memory()) - heap : 0
  verdict.expect(growth <= MAX_GROWTH_MIB, `the memory grew by ${growth.toFixed(1)} MiB`)
  return {
    violations: verdict.violations,
    figures: {
      ...{ cases, accepted, refused: cases - accepted, slowestMs: slowest },
      ...(cases > WARM ? { growthMib: growth } : {}),
    },
  }
}

function writeFiles(dir: string, files: Files): void {
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(dir)
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(dir, basename(name)), bytes)
}

function heapMib(): number {
  setFlagsFromString('--expose_gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return (heapUsed + external) / 2 ** 20
}

async function serverMib(client: Client): Promise<number> {
  const samples = await scrape(client)
  const names = ['troupe_nodejs_heap_size_used_bytes', 'troupe_nodejs_external_memory_bytes']
  return names.reduce((sum, name) => sum + samples.get(name)!, 0) / 2 ** 20
}
