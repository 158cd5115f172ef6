import { renameSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { scratchFolder } from '../../support/at-exit.ts'
import { Client } from '../../support/client.ts'
import { modelDir } from '../../support/fixtures.ts'
import type { Outage } from '../../support/gate.ts'
import { Gate } from '../../support/gate.ts'
import { scrape } from '../../support/scrape.ts'
import { startServerProcess } from '../../support/server-process.ts'
import { FOLDERS } from '../../support/stores.ts'
import { ADAPTERS, FAMILY, loraWithAlpha, referenceFiles } from './adapters.ts'
import type { ErrorBody } from './generation.ts'
import { complete, PROMPTS, References } from './generation.ts'
import type { Findings, Scale } from './scale.ts'
import { Deadline, pick, runConcurrently, seededRandom, Verdict } from './scale.ts'

const CONCURRENCY = 8
const MAX_TOKENS = 8
/** Load before and after the outage. */
const AROUND_MS = 2_000
const LOOK_MS = 500
/** A server that waits for a silent store notices that it is back when its patience is over. */
const RECOVERY_MS = 60_000
/** Memory for all adapters. */
const ROOMY = 64 * 2 ** 20

interface Ready {
  readonly degraded: readonly string[]
}

/**
 * A server loses its store under load: everything that is in memory, or of a bucket on the local disk, is served on, changes are refused with the reason, and
 * all goes on by itself once the store is back.
 */
export async function runOutage({ seconds, stores = FOLDERS }: Scale): Promise<Findings> {
  const verdict = new Verdict()
  const location = await stores.create()
  const cacheDir = scratchFolder('troupe-outage-')
  const store = stores.kind === 'folder' ? new Folder(location) : await Bucket.behindGate()
  // A folder has no copies on the local disk: all adapters fit. Of a bucket they are there, and memory holds half of them.
  const memory = stores.kind === 'folder' ? ROOMY : Math.ceil(bytesOfAll() / 2)
  const flags = ['--precision', 'f32', '--threads', '1', '--cache-dir', cacheDir, '--memory-bytes', String(memory)]
  const server = await startServerProcess(modelDir(FAMILY), location, flags)
  const client = new Client(server.url)
  try {
    const digests = new Map<string, string>()
    const references = new References(MAX_TOKENS)
    for (const name of ADAPTERS) {
      const { status, body } = await client.upload<{ digest: string }>(name, referenceFiles(name))
      if (status !== 201) throw new Error(`${name}: ${JSON.stringify(body)}`)
      digests.set(name, body.digest)
      await references.learn(client, name, body.digest)
    }
    const load = { isOver: false }
    const figures = {
      ...{ requests: 0, duringOutage: 0, loads: 0, outageSeconds: 0 },
      ...{ refusedChanges: 0, slowestRefusalMs: 0, recoveryMs: 0 },
    }
    let isOut = false
    const random = seededRandom(17)
    const loading = runConcurrently(Infinity, CONCURRENCY, load, async (index) => {
      const name = pick(ADAPTERS, random())
      try {
        const answer = await complete(client, name, PROMPTS[index % PROMPTS.length]!, MAX_TOKENS)
        const fault = references.fault(index % PROMPTS.length, answer)
        verdict.expect(fault === null && answer.digests.join() === digests.get(name), `${name}: ${fault}`)
      } catch (error) {
        verdict.expect(false, `${name}, ${isOut ? 'during' : 'around'} the outage: ${String(error)}`)
      }
      figures.requests++
      if (isOut) figures.duringOutage++
    })
    await sleep(AROUND_MS)
    const loadsBefore = await loads(client)
    for (const outage of store.outages) {
      isOut = true
      store.lose(outage)
      const from = performance.now()
      const until = new Deadline(seconds / store.outages.length)
      let isKnown = false
      while (!until.isOver) {
        const changed = performance.now()
        const { status, body } = await client.put<ErrorBody>('/v1/tasks/lost', { adapter: ADAPTERS[0] })
        verdict.expect(status === 500 && body.error.code === 'storage_error', `a change was answered ${status}`)
        figures.refusedChanges++
        figures.slowestRefusalMs = Math.max(figures.slowestRefusalMs, performance.now() - changed)
        const ready = await client.get<Ready>('/health/ready')
        verdict.expect(ready.status === 200, `not ready (${ready.status}) while ${outage}`)
        isKnown ||= ready.body.degraded.some((text) => /changes are refused/.test(text))
        await sleep(LOOK_MS)
      }
      verdict.expect(isKnown, `/health/ready does not say that the store is ${outage}`)
      figures.outageSeconds += (performance.now() - from) / 1000
      store.find()
      isOut = false
      figures.recoveryMs = Math.max(figures.recoveryMs, await recovery(client, verdict))
    }
    figures.loads = (await loads(client)) - loadsBefore
    const after = await client.upload<ErrorBody>('after', loraWithAlpha(17))
    verdict.expect(after.status === 201, `an upload after it: ${JSON.stringify(after.body)}`)
    await sleep(AROUND_MS)
    load.isOver = true
    await loading
    return { violations: verdict.violations, figures }
  } finally {
    await server.kill()
    store.close()
    stores.remove(location)
    rmSync(cacheDir, { recursive: true, force: true })
  }
}

function bytesOfAll(): number {
  const files = ADAPTERS.map((name) => referenceFiles(name)['adapter_model.safetensors'] ?? new Uint8Array())
  return files.reduce((sum, { byteLength }) => sum + byteLength, 0)
}

/** Until the server says that it has its store again. */
async function recovery(client: Client, verdict: Verdict): Promise<number> {
  const from = performance.now()
  for (;;) {
    const { body } = await client.get<Ready>('/health/ready')
    const took = performance.now() - from
    if (body.degraded.length === 0) return took
    if (took > RECOVERY_MS) {
      verdict.expect(false, `after ${RECOVERY_MS / 1000} s still ${body.degraded.join('; ')}`)
      return took
    }
    await sleep(50)
  }
}

async function loads(client: Client): Promise<number> {
  return (await scrape(client)).get('troupe_tier_loads_total{tier="memory"}') ?? NaN
}

/** A store in a folder, which can be moved away. */
class Folder {
  readonly outages = ['refused'] as const
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  lose(): void {
    renameSync(this.#path, `${this.#path}-away`)
  }

  find(): void {
    renameSync(`${this.#path}-away`, this.#path)
  }

  close(): void {}
}

/** A store in a bucket, behind a gate. */
class Bucket {
  readonly outages: readonly Outage[] = ['refused', 'silent']
  readonly #gate: Gate
  readonly #url: string

  private constructor(gate: Gate, url: string) {
    this.#gate = gate
    this.#url = url
  }

  /** Servers that are started now come to their store through the gate. */
  static async behindGate(): Promise<Bucket> {
    const url = process.env.AWS_ENDPOINT_URL_S3 ?? ''
    const gate = await Gate.open(url)
    process.env.AWS_ENDPOINT_URL_S3 = gate.url
    return new Bucket(gate, url)
  }

  lose(outage: Outage): void {
    this.#gate.shut(outage)
  }

  find(): void {
    this.#gate.reopen()
  }

  close(): void {
    process.env.AWS_ENDPOINT_URL_S3 = this.#url
    this.#gate.close()
  }
}
