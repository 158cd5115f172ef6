import { readdirSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { scratchFolder } from '../../support/at-exit.ts'
import { Client } from '../../support/client.ts'
import { modelDir } from '../../support/fixtures.ts'
import type { Change, Told } from '../../support/store-changes.ts'
import { changesOf } from '../../support/store-changes.ts'
import { startServerProcess } from '../../support/server-process.ts'
import { FOLDERS } from '../../support/stores.ts'
import { openLocation } from '../../support/store-folder.ts'
import type { Known } from './acknowledged.ts'
import { compare, follow } from './acknowledged.ts'
import { FAMILY, loraWithAlpha } from './adapters.ts'
import { complete, greedy, PROMPTS } from './generation.ts'
import type { Findings, Scale } from './scale.ts'
import { Deadline, seededRandom, Verdict } from './scale.ts'

const CLIENTS = 4
/** What is deleted has holders, as requests of this length run all the time. */
const LONG = 48
const MOST_MS = 400
/** The instant of the kill follows this many acknowledged changes, or this much patience on a busy machine. */
const LEAST_ACKNOWLEDGED = 4
const PATIENCE_MS = 20_000

/** Kinds of changes, as the report counts those that a kill interrupted. */
const KIND = {
  upload: 'duringUploads',
  deleteVersion: 'duringDeletions',
  deleteAdapter: 'duringDeletions',
  deleteTask: 'duringDeletions',
  putTask: 'duringActivations',
  activate: 'duringActivations',
  rollback: 'duringActivations',
} as const

interface VersionBody {
  readonly version: string
  readonly digest: string
  readonly state: string
}

interface TaskBody {
  readonly routes: readonly { readonly adapter: string; readonly version: string }[]
}

/** The same as `runKills` with a whole server and clients that change it over HTTP while others generate. */
export async function runServerKills({ rounds, seconds, stores = FOLDERS }: Scale): Promise<Findings> {
  const verdict = new Verdict()
  const deadline = new Deadline(seconds)
  const random = seededRandom(12)
  const store = await stores.create()
  const cacheDir = scratchFolder('troupe-server-kill-')
  const { work } = await openLocation(store, cacheDir)
  const flags = ['--precision', 'f32', '--threads', '1', '--cache-dir', cacheDir]
  const all = Array.from({ length: CLIENTS }, (_, index): Known => {
    const name = `${index}`
    return {
      adapter: `adapter-${name}`,
      task: `task-${name}`,
      versions: new Map(),
      route: null,
      last: 0,
      pending: null,
    }
  })
  const figures = {
    kills: 0,
    acknowledged: 0,
    drained: 0,
    duringUploads: 0,
    duringActivations: 0,
    duringDeletions: 0,
    restartMs: 0,
  }
  let server = await startServerProcess(modelDir(FAMILY), store, flags)
  try {
    for (let round = 0; round < rounds && !deadline.isOver; round++) {
      const client = new Client(server.url)
      const told: Told[] = []
      const tell = (one: Told): void => void told.push(one)
      const onDrained = (): void => void figures.drained++
      const working = all.map((known, index) => change(client, known, round * CLIENTS + index, tell, onDrained))
      const generating = all.map(({ adapter }) => generateUntilGone(client, adapter))
      const patience = new Deadline(PATIENCE_MS / 1000)
      while (!patience.isOver && told.filter(({ phase }) => phase === 'acknowledged').length < LEAST_ACKNOWLEDGED)
        await sleep(5)
      await sleep(random() * MOST_MS)
      await server.kill()
      figures.kills++
      await Promise.all([...working, ...generating])
      for (const one of told) {
        if (one.phase === 'acknowledged') figures.acknowledged++
        const fault = follow(all[one.client]!, one)
        verdict.expect(fault === null, `kill ${round}: ${fault}`)
      }
      for (const { pending } of all) if (pending) figures[KIND[pending.change.type]]++
      const from = performance.now()
      server = await startServerProcess(modelDir(FAMILY), store, flags)
      figures.restartMs = Math.max(figures.restartMs, performance.now() - from)
      const left = readdirSync(work.dir)
      verdict.expect(left.length === 0, `kill ${round}: the folder for unfinished work still has ${left.join(', ')}`)
      for (const known of all) {
        const faults = await examine(new Client(server.url), known)
        for (const fault of faults) verdict.expect(false, `kill ${round}: ${fault}`)
      }
    }
  } finally {
    await server.kill()
    stores.remove(store)
    rmSync(cacheDir, { recursive: true, force: true })
  }
  return { violations: verdict.violations, figures }
}

/** Changes its adapter and its task until the server is gone. */
async function change(
  client: Client,
  known: Known,
  seed: number,
  tell: (told: Told) => void,
  onDrained: () => void,
): Promise<void> {
  let id = 0
  const present = new Set(known.versions.keys())
  for (const wanted of changesOf(seed, () => [...present])) {
    const told = { client: Number(known.adapter.split('-')[1]), id: id++, ...known, change: wanted }
    tell({ ...told, phase: 'begun', result: null })
    try {
      const { status, body } = await send(client, known.adapter, known.task, wanted)
      if (status === 202) onDrained()
      const outcome = outcomeOf(wanted, status, body)
      if (outcome.result && 'digest' in outcome.result) present.add(outcome.result.version)
      if (wanted.type === 'deleteVersion') present.delete(wanted.version)
      if (wanted.type === 'deleteAdapter') present.clear()
      tell({ ...told, ...outcome })
    } catch {
      return
    }
  }
}

function outcomeOf(wanted: Change, status: number, body: unknown): Pick<Told, 'phase' | 'result'> {
  if (status >= 500) throw new Error(`${wanted.type}: ${JSON.stringify(body)}`)
  if (status >= 400) return { phase: 'refused', result: null }
  if (wanted.type === 'upload') {
    const { version, digest } = body as VersionBody
    return { phase: 'acknowledged', result: { version: numberOf(version), digest } }
  }
  if (!['putTask', 'activate', 'rollback'].includes(wanted.type)) return { phase: 'acknowledged', result: null }
  const { routes } = wanted.type === 'putTask' ? (body as TaskBody) : (body as { task: TaskBody }).task
  const named = routes.map((route) => ({ adapter: route.adapter, version: numberOf(route.version) }))
  return { phase: 'acknowledged', result: { routes: named } }
}

async function send(
  client: Client,
  adapter: string,
  task: string,
  wanted: Change,
): Promise<{ status: number; body: unknown }> {
  switch (wanted.type) {
    case 'upload':
      return client.upload(adapter, loraWithAlpha(wanted.effect + 2))
    case 'deleteVersion':
      return client.delete(`/v1/adapters/${adapter}/versions/v${wanted.version}`)
    case 'deleteAdapter':
      return client.delete(`/v1/adapters/${adapter}`)
    case 'putTask':
      return client.put(`/v1/tasks/${task}`, { adapter })
    case 'activate':
      return client.post(`/v1/tasks/${task}/activate`, { adapter, version: `v${wanted.version}` })
    case 'rollback':
      return client.post(`/v1/tasks/${task}/rollback`, {})
    case 'deleteTask':
      return client.delete(`/v1/tasks/${task}`)
  }
}

/** Long requests on the newest version, one after another; where there is none they are refused. */
async function generateUntilGone(client: Client, model: string): Promise<void> {
  try {
    for (;;) {
      const { status } = await client.post('/v1/completions', { model, ...greedy(PROMPTS[0], LONG) })
      if (status !== 200) await sleep(5)
    }
  } catch {
    return
  }
}

/** Compares what the restarted server has with what is known, lets every version answer, and makes that what is known. */
async function examine(client: Client, known: Known): Promise<string[]> {
  const adapter = await client.get<{ versions?: readonly VersionBody[] }>(`/v1/adapters/${known.adapter}`)
  const task = await client.get<Partial<TaskBody>>(`/v1/tasks/${known.task}`)
  const versions = adapter.body.versions ?? []
  const route = task.body.routes?.[0]?.version
  const stored = {
    versions: new Map(versions.map(({ version, digest }) => [numberOf(version), digest])),
    route: route === undefined ? null : numberOf(route),
  }
  const faults = compare(known, stored)
  known.versions.clear()
  for (const [version, digest] of stored.versions) {
    known.versions.set(version, digest)
    known.last = Math.max(known.last, version)
    const answer = await complete(client, `${known.adapter}@v${version}`, PROMPTS[0], 1)
    if (answer.digests.join() !== digest)
      faults.push(`${known.adapter}@v${version} answers as ${answer.digests.join()}`)
  }
  known.route = stored.route
  known.pending = null
  return faults
}

/** `v3` → 3. */
function numberOf(version: string): number {
  return Number(version.slice(1))
}
