import { setTimeout as sleep } from 'node:timers/promises'
import type { Files } from '../../chaos/scenarios/adapters.ts'
import type { ErrorBody, GenerateBody } from '../../chaos/scenarios/generation.ts'
import { greedy } from '../../chaos/scenarios/generation.ts'
import type { Deadline, Verdict } from '../../chaos/scenarios/scale.ts'
import { pick, seededRandom } from '../../chaos/scenarios/scale.ts'
import type { Client } from '../../support/client.ts'
import { Refused } from '../../support/client.ts'
import type { Uploaded } from './demo.ts'
import { uploadOne, wordsOf } from './demo.ts'
import { variantOf } from './variants.ts'

const MOST_WORDS = 48
const MOST_TOKENS = 24
/** A cancelled request is cancelled within this time. */
const CANCEL_MS = 60
const CHANGE_MS = 1_500
const TASK = 'churning'
const PASSING = 'passing'
const PASSING_VERSIONS = 3
const TOO_LATE = 408

interface Chunk {
  readonly error?: ErrorBody['error']
  readonly provenance?: GenerateBody['provenance']
}

export interface ChurnCounts {
  requests: number
  cancelled: number
  /** Answered that they came too late: the machine stood still while they were sent, and nothing was done. */
  late: number
  changes: number
}

/** What the clients of a churn share. */
export interface ChurnLoad {
  readonly client: Client
  readonly adapters: readonly Uploaded[]
  readonly deadline: Deadline
  readonly verdict: Verdict
  readonly counts: ChurnCounts
}

/** One client: a request for a random adapter, a pause, the next one, until the time is over. */
export async function requestInTurn(load: ChurnLoad, seed: number, pauseMs: number): Promise<void> {
  const random = seededRandom(seed)
  while (!load.deadline.isOver) {
    const pause = sleep(2 * pauseMs * random())
    try {
      await requestOnce(load, random)
    } catch (error) {
      failed(load, `request ${load.counts.requests}`, error)
    }
    load.counts.requests++
    await pause
  }
}

function failed({ counts, verdict }: ChurnLoad, what: string, error: unknown): void {
  if (error instanceof Refused && error.status === TOO_LATE) {
    counts.late++
    return
  }
  const cause = error instanceof Error && error.cause instanceof Error ? ` (${error.cause.message})` : ''
  verdict.expect(false, `${what}: ${String(error)}${cause}`)
}

/** Half of the requests are answered whole, the others streamed, some of these given up; some mix two adapters. */
async function requestOnce({ client, adapters, verdict, counts }: ChurnLoad, random: () => number): Promise<void> {
  const [first, second] = [pick(adapters, random()), pick(adapters, random())]
  const mixed = random() < 0.15 && first !== second
  const body = {
    ...greedy(wordsOf(1 + Math.floor(random() * MOST_WORDS), random), 1 + Math.floor(random() * MOST_TOKENS)),
    model: first.name,
    ...(mixed && { adapters: [{ name: second.name, scale: 0.5 }] }),
  }
  const expected = [first, ...(mixed ? [second] : [])].map(({ digest }) => digest).join()
  const way = random()
  const signal = way < 0.75 ? undefined : AbortSignal.timeout(Math.ceil(random() * CANCEL_MS))
  try {
    const digests = way < 0.5 ? await whole(client, body) : await streamed(client, body, signal)
    verdict.expect(digests === expected, `${expected} was answered by ${digests}`)
  } catch (error) {
    if (signal?.aborted !== true) throw error
    counts.cancelled++
  }
}

async function whole(client: Client, body: object): Promise<string> {
  const answer = await client.post<GenerateBody>('/v1/completions', body)
  if (answer.status !== 200) throw new Refused(answer.status, JSON.stringify(answer.body))
  return digestsOf(answer.body)
}

async function streamed(client: Client, body: object, signal: AbortSignal | undefined): Promise<string> {
  let digests = ''
  for await (const chunk of client.stream<Chunk>('/v1/completions', body, signal)) {
    if (chunk.error) throw new Error(`${chunk.error.code}: ${chunk.error.message}`)
    if (chunk.provenance) digests = digestsOf({ provenance: chunk.provenance })
  }
  return digests
}

function digestsOf({ provenance }: Pick<GenerateBody, 'provenance'>): string {
  return provenance.adapters.map(({ digest }) => digest).join()
}

/** Uploads versions, activates them and others for a task, asks it and deletes the oldest again, until the time is over. */
export async function changeInTurn(load: ChurnLoad, template: Files, seed: number): Promise<void> {
  const { client, adapters, deadline, counts } = load
  const random = seededRandom(seed)
  const passing: Uploaded[] = []
  const change = async (job: () => Promise<unknown>): Promise<void> => {
    if (deadline.isOver) return
    const pause = sleep(CHANGE_MS)
    try {
      await job()
      counts.changes++
    } catch (error) {
      failed(load, `change ${counts.changes}`, error)
    }
    await pause
  }
  const activate = ({ name, version }: Uploaded): Promise<unknown> =>
    accepted(client.post(`/v1/tasks/${TASK}/activate`, { adapter: name, version }))

  await accepted(client.put(`/v1/tasks/${TASK}`, { adapter: adapters[0]!.name }))
  for (let step = adapters.length + 1; !deadline.isOver; step++) {
    await change(async () => passing.push(await uploadOne(client, PASSING, variantOf(template, step))))
    const newest = passing.at(-1)
    if (newest) await change(() => activate(newest))
    await change(() => accepted(client.post(`/v1/tasks/${TASK}/generate`, greedy(wordsOf(4, random), 4))))
    await change(() => activate(pick(adapters, random())))
    const oldest = passing.length > PASSING_VERSIONS ? passing.shift() : undefined
    if (oldest) await change(() => accepted(client.delete(`/v1/adapters/${PASSING}/versions/${oldest.version}`)))
  }
}

async function accepted(call: Promise<{ readonly status: number; readonly body: unknown }>): Promise<void> {
  const { status, body } = await call
  if (status >= 300) throw new Refused(status, JSON.stringify(body))
}
