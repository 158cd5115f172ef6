import { rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { ZipfRanks } from '../../../src/bench/zipf.ts'
import type { Findings } from '../../chaos/scenarios/scale.ts'
import { Deadline, runConcurrently, seededRandom, Verdict } from '../../chaos/scenarios/scale.ts'
import { FAMILY, loraWithAlpha } from '../../chaos/scenarios/adapters.ts'
import type { GenerateBody } from '../../chaos/scenarios/generation.ts'
import { complete, greedy, PROMPTS } from '../../chaos/scenarios/generation.ts'
import { scratchFolder } from '../../support/at-exit.ts'
import { Client } from '../../support/client.ts'
import { modelDir } from '../../support/fixtures.ts'
import type { GatewayKind } from '../../support/gateway.ts'
import { Gateway } from '../../support/gateway.ts'
import { freePort } from '../../support/s3-server.ts'
import { scrape } from '../../support/scrape.ts'
import type { ServerProcess } from '../../support/server-process.ts'
import { startServerProcess } from '../../support/server-process.ts'

const REPLICAS = 2
const CONCURRENCY = 8
const MAX_TOKENS = 8
const STREAMED_EVERY = 4
const READY_MS = 60_000
/** Checks of the gateway until it takes a replica again, and some more. */
const SETTLE_MS = 4_000

export interface FleetScale {
  readonly adapters: number
  /** Of each part: while all live, while one is killed, when it is back. */
  readonly requests: number
}

/** One adapter's answers by one server alone. */
type Expected = ReadonlyMap<string, string>

/** Real replicas on one store behind a real gateway: requests of adapters by popularity, one replica killed and back. */
export async function runFleet(kind: GatewayKind, { adapters, requests }: FleetScale): Promise<Findings> {
  const verdict = new Verdict()
  const store = scratchFolder('troupe-fleet-')
  const ports: number[] = []
  while (ports.length < REPLICAS) ports.push(await freePort())
  const replicas: ServerProcess[] = []
  let gateway: Gateway | null = null
  try {
    const names = Array.from({ length: adapters }, (_, index) => `adapter-${index}`)
    const expected = await fill(store, names)
    for (const port of ports) replicas.push(await startReplica(store, port))
    gateway = await Gateway.start(kind, ports)
    const load = new Load(new Client(gateway.url), names, expected, verdict)

    await load.run(requests, () => undefined)
    const coldLoads = await loadsOf(replicas)
    const split = load.split()
    verdict.expect(split.length === 0, `served by more than one replica while both lived: ${split.join(', ')}`)

    load.forget()
    const killed: Promise<void>[] = []
    await load.run(requests, (index) => {
      if (index >= requests / 4 && killed.length === 0) killed.push(replicas[0]!.kill())
    })
    await Promise.all(killed)
    replicas[0] = await startReplica(store, ports[0]!)
    await sleep(SETTLE_MS)

    load.forget()
    await load.run(requests, () => undefined)
    const splitAfter = load.split()
    verdict.expect(
      splitAfter.length === 0,
      `served by more than one replica once it was back: ${splitAfter.join(', ')}`,
    )
    verdict.expect(load.servers.size === REPLICAS, `${load.servers.size} replicas served once it was back`)
    const figures = { replicas: REPLICAS, adapters, ...load.counts, split: split.length + splitAfter.length, coldLoads }
    return { violations: verdict.violations, figures: { ...figures, coldLoadsPerAdapter: coldLoads / adapters } }
  } finally {
    gateway?.stop()
    for (const replica of replicas) await replica.kill()
    rmSync(store, { recursive: true, force: true })
  }
}

/** What the same load costs when replicas take turns: the adapters that come into memory. */
export async function coldLoadsInTurns({ adapters, requests }: FleetScale): Promise<number> {
  const store = scratchFolder('troupe-turns-')
  const replicas: ServerProcess[] = []
  try {
    const names = Array.from({ length: adapters }, (_, index) => `adapter-${index}`)
    await fill(store, names)
    while (replicas.length < REPLICAS) replicas.push(await startReplica(store, await freePort()))
    const clients = replicas.map(({ url }) => new Client(url))
    const popularity = new ZipfRanks(adapters, 1, seededRandom(23))
    await runConcurrently(requests, CONCURRENCY, new Deadline(Infinity), async (index) => {
      await complete(clients[index % REPLICAS]!, names[popularity.draw()]!, PROMPTS[0], 1)
    })
    return await loadsOf(replicas)
  } finally {
    for (const replica of replicas) await replica.kill()
    rmSync(store, { recursive: true, force: true })
  }
}

/** Puts the adapters into the store, and learns from one server what each answers. */
async function fill(store: string, names: readonly string[]): Promise<Expected> {
  const server = await startServerProcess(modelDir(FAMILY), store)
  try {
    const client = new Client(server.url)
    const expected = new Map<string, string>()
    for (const [index, name] of names.entries()) {
      const { status, body } = await client.upload(name, loraWithAlpha(2 + 3 * index))
      if (status !== 201) throw new Error(`${name}: ${JSON.stringify(body)}`)
      expected.set(name, (await complete(client, name, PROMPTS[0], MAX_TOKENS)).text)
    }
    return expected
  } finally {
    await server.kill()
  }
}

async function startReplica(store: string, port: number): Promise<ServerProcess> {
  const flags = ['--precision', 'f32', '--threads', '1', '--port', String(port), '--drain-seconds', '0']
  const replica = await startServerProcess(modelDir(FAMILY), store, flags)
  const client = new Client(replica.url)
  const patience = new Deadline(READY_MS / 1000)
  while ((await client.get('/health/ready')).status !== 200) {
    if (patience.isOver) throw new Error('a replica does not get ready')
    await sleep(50)
  }
  return replica
}

async function loadsOf(replicas: readonly ServerProcess[]): Promise<number> {
  let sum = 0
  for (const { url } of replicas)
    sum += (await scrape(new Client(url))).get('troupe_tier_loads_total{tier="memory"}') ?? NaN
  return sum
}

/** Requests through the gateway, and what became of them. */
class Load {
  readonly counts = { requests: 0, lost: 0, brokenOff: 0, wrong: 0 }
  readonly #client: Client
  readonly #names: readonly string[]
  readonly #expected: Expected
  readonly #verdict: Verdict
  readonly #popularity: ZipfRanks
  /** Which replicas answered for an adapter. */
  readonly #answered = new Map<string, Set<string>>()

  constructor(client: Client, names: readonly string[], expected: Expected, verdict: Verdict) {
    this.#client = client
    this.#names = names
    this.#expected = expected
    this.#verdict = verdict
    this.#popularity = new ZipfRanks(names.length, 1, seededRandom(19))
  }

  get servers(): ReadonlySet<string> {
    return new Set([...this.#answered.values()].flatMap((servers) => [...servers]))
  }

  /** Adapters that more than one replica answered for. */
  split(): string[] {
    return [...this.#answered].filter(([, servers]) => servers.size > 1).map(([name]) => name)
  }

  forget(): void {
    this.#answered.clear()
  }

  async run(requests: number, before: (index: number) => void): Promise<void> {
    await runConcurrently(requests, CONCURRENCY, new Deadline(Infinity), async (index) => {
      before(index)
      const name = this.#names[this.#popularity.draw()]!
      this.counts.requests++
      const text = index % STREAMED_EVERY === 0 ? await this.#stream(name) : await this.#whole(name)
      if (text === null || text === this.#expected.get(name)) return
      this.counts.wrong++
      this.#verdict.expect(false, `${name} answered ${JSON.stringify(text)}`)
    })
  }

  async #whole(model: string): Promise<string | null> {
    const body = { model, ...greedy(PROMPTS[0], MAX_TOKENS) }
    try {
      const answer = await this.#client.post<GenerateBody>('/v1/completions', body)
      if (answer.status !== 200) throw new Error(`${answer.status}: ${JSON.stringify(answer.body)}`)
      const servers = this.#answered.get(model) ?? new Set()
      this.#answered.set(model, servers.add(answer.headers.get('x-troupe-server') ?? ''))
      return answer.body.choices.map(({ text }) => text).join('')
    } catch (error) {
      return this.#lost(model, error)
    }
  }

  /** A stream may break off after its first byte: nobody can send that again. */
  async #stream(model: string): Promise<string | null> {
    let text = ''
    let isBegun = false
    try {
      const body = { model, ...greedy(PROMPTS[0], MAX_TOKENS) }
      for await (const chunk of this.#client.stream<GenerateBody>('/v1/completions', body)) {
        isBegun = true
        text += chunk.choices.map((choice) => choice.text).join('')
      }
      return text
    } catch (error) {
      if (!isBegun) return this.#lost(model, error)
      this.counts.brokenOff++
      return null
    }
  }

  #lost(model: string, error: unknown): null {
    this.counts.lost++
    const cause = error instanceof Error && error.cause instanceof Error ? ` (${error.cause.message})` : ''
    this.#verdict.expect(false, `a request for ${model} that had no first byte was lost: ${String(error)}${cause}`)
    return null
  }
}
