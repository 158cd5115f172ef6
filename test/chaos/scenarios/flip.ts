import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../../../src/core/errors.ts'
import type { Client } from '../../support/client.ts'
import type { Files } from './adapters.ts'
import { loraWithAlpha, referenceFiles } from './adapters.ts'
import type { ErrorBody } from './generation.ts'
import { PROMPTS, References, runTask } from './generation.ts'
import type { Findings, Scale } from './scale.ts'
import { Deadline, pick, quantile, runConcurrently, seededRandom, Verdict } from './scale.ts'

const CONCURRENCY = 32
const TURNS = 4
const FLIP_MS = 50
/** Flips that may be under way at once, where one takes longer than the time between them. */
const MOST_OPEN_FLIPS = 4
const MAX_TOKENS = 8
const STREAMED_EVERY = 4
const TASK = 'flipping'
const ADAPTER = 'flipped'
/** Codes a change may be refused with because another change was quicker. */
const OVERTAKEN = ['rollback_empty', 'version_not_found', 'adapter_in_use', 'adapter_not_ready', 'conflict']

interface Version {
  readonly version: string
  readonly digest: string
}

interface LoadResult {
  readonly latencies: readonly number[]
  readonly answeredBy: ReadonlySet<string>
}

/** The loads of all turns together. */
class Latencies {
  readonly all: number[] = []
  readonly answeredBy = new Set<string>()

  add({ latencies, answeredBy }: LoadResult): void {
    this.all.push(...latencies)
    for (const digest of answeredBy) this.answeredBy.add(digest)
  }
}

/**
 * The same load by turns, in peace and while a task's version changes every 50 ms by activations and rollbacks and versions come and go.
 * Every answer must be that of the version it names.
 */
export async function runFlip(client: Client, scale: Scale): Promise<Findings> {
  const verdict = new Verdict()
  const references = new References(MAX_TOKENS)
  const steady: Version[] = []
  for (const name of ['lora-r8', 'bn-seq', 'lora-r16'] as const) {
    steady.push(await addVersion(client, references, referenceFiles(name)))
  }
  await expectOk(client.put(`/v1/tasks/${TASK}`, { adapter: ADAPTER }))

  // By turns, so that whatever else the machine does disturbs both alike. A calm part takes half of its turn's time.
  const flips = new Flips(client, references, steady, verdict)
  const [calm, flipped] = [new Latencies(), new Latencies()]
  let flipsMs = 0
  for (let turn = 0; turn < TURNS; turn++) {
    const calmTime = new Deadline(scale.seconds / TURNS / 2)
    const part = await load(client, references, Math.ceil(scale.requests / TURNS), calmTime, verdict)
    calm.add(part)
    const from = performance.now()
    const flipping = flips.run()
    flipped.add(await load(client, references, part.latencies.length, new Deadline(Infinity), verdict))
    flips.stop()
    await flipping
    flipsMs += performance.now() - from
  }
  const requests = flipped.all.length
  verdict.expect(references.allDiffer(), 'two versions answer alike: mixing them up would not show')

  const [p99, calmP99] = [quantile(flipped.all, 0.99), quantile(calm.all, 0.99)]
  const figures = {
    requests,
    ...flips.counts,
    flipEveryMs: flipsMs / (flips.counts.activations + flips.counts.rollbacks),
    versions: flipped.answeredBy.size,
    p99Ms: p99,
    calmP99Ms: calmP99,
    p99Ratio: p99 / calmP99,
  }
  return { violations: verdict.violations, figures }
}

async function load(
  client: Client,
  references: References,
  requests: number,
  deadline: Deadline,
  verdict: Verdict,
): Promise<LoadResult> {
  const latencies: number[] = []
  const answeredBy = new Set<string>()
  await runConcurrently(requests, CONCURRENCY, deadline, async (index) => {
    const promptIndex = index % PROMPTS.length
    const from = performance.now()
    try {
      const streamed = index % STREAMED_EVERY === 0
      const answer = await runTask(client, TASK, PROMPTS[promptIndex]!, MAX_TOKENS, streamed)
      const fault = references.fault(promptIndex, answer)
      verdict.expect(fault === null, `request ${index}: ${fault}`)
      answeredBy.add(answer.digests.join())
    } catch (error) {
      verdict.expect(false, `request ${index}: ${messageOf(error)}`)
    }
    latencies.push(performance.now() - from)
  })
  return { latencies, answeredBy }
}

/** Changes the task's version all the time, and adds and deletes versions meanwhile. */
class Flips {
  readonly counts = { activations: 0, rollbacks: 0, uploads: 0, deletions: 0, drained: 0 }
  readonly #client: Client
  readonly #references: References
  readonly #steady: readonly Version[]
  readonly #verdict: Verdict
  readonly #random = seededRandom(7)
  /** Versions that come and go, as long as they may be activated. */
  readonly #passing = new Set<Version>()
  #stopped = false

  constructor(client: Client, references: References, steady: readonly Version[], verdict: Verdict) {
    this.#client = client
    this.#references = references
    this.#steady = steady
    this.#verdict = verdict
  }

  async run(): Promise<void> {
    this.#stopped = false
    await Promise.all([this.#flip(), this.#comeAndGo()])
  }

  stop(): void {
    this.#stopped = true
  }

  async #flip(): Promise<void> {
    const open = new Set<Promise<void>>()
    for (let turn = 0; !this.#stopped; turn++) {
      const change = this.#flipOnce(turn).finally(() => open.delete(change))
      open.add(change)
      await sleep(FLIP_MS)
      if (open.size >= MOST_OPEN_FLIPS) await Promise.race(open)
    }
    await Promise.all(open)
  }

  async #flipOnce(turn: number): Promise<void> {
    if (turn % 3 === 2) {
      if (await this.#change('/rollback', {})) this.counts.rollbacks++
      return
    }
    const { version } = pick([...this.#steady, ...this.#passing], this.#random())
    if (await this.#change('/activate', { adapter: ADAPTER, version })) this.counts.activations++
  }

  async #comeAndGo(): Promise<void> {
    for (let turn = 0; !this.#stopped; turn++) {
      const passing = await addVersion(this.#client, this.#references, loraWithAlpha(3 + 4 * (turn % 4)))
      this.counts.uploads++
      this.#passing.add(passing)
      await this.#change('/activate', { adapter: ADAPTER, version: passing.version })
      await sleep(4 * FLIP_MS)
      this.#passing.delete(passing)
      await this.#deleteUnlessRouted(passing)
    }
  }

  /** Deletes while requests still run on it; a rollback may bring it back for a moment. */
  async #deleteUnlessRouted({ version }: Version): Promise<void> {
    for (;;) {
      await this.#change('/activate', { adapter: ADAPTER, version: pick(this.#steady, this.#random()).version })
      const { status, body } = await this.#client.delete<ErrorBody>(`/v1/adapters/${ADAPTER}/versions/${version}`)
      if (status === 202 || status === 204) {
        this.counts.deletions++
        if (status === 202) this.counts.drained++
        return
      }
      this.#verdict.expect(body.error.code === 'adapter_in_use', `deleting ${version}: ${body.error.message}`)
      if (body.error.code !== 'adapter_in_use') return
    }
  }

  async #change(path: string, body: object): Promise<boolean> {
    const answer = await this.#client.post<ErrorBody>(`/v1/tasks/${TASK}${path}`, body)
    if (answer.status === 200) return true
    const { code, message } = answer.body.error
    this.#verdict.expect(OVERTAKEN.includes(code), `${path}: ${answer.status} ${code} ${message}`)
    return false
  }
}

async function addVersion(client: Client, references: References, files: Files): Promise<Version> {
  const added = await expectOk(client.upload<Version>(ADAPTER, files))
  await references.learn(client, `${ADAPTER}@${added.version}`, added.digest)
  return added
}

async function expectOk<T>(call: Promise<{ status: number; body: T }>): Promise<T> {
  const { status, body } = await call
  if (status >= 300) throw new Error(`${status}: ${JSON.stringify(body)}`)
  return body
}
