import type { ErrorBody } from '../../chaos/scenarios/generation.ts'
import { pick } from '../../chaos/scenarios/scale.ts'
import type { Answer } from '../../support/client.ts'
import type { RandomLoad } from './random.ts'
import { adapterAt, TASKS, versionAt, versionFiles } from './random-names.ts'

/** Seconds that those who use a deleted version get to finish; nothing = the server's default. */
const DRAINS = ['?drain_seconds=0', '?drain_seconds=1', ''] as const

type Outcome = Answer<Partial<ErrorBody> & { readonly version?: string }>
type Change = (load: RandomLoad) => Promise<Outcome>

/** What may happen to adapters and tasks, and how often. */
const CHANGES: readonly (readonly [number, Change])[] = [
  [8, upload],
  [3, deleteVersion],
  [1, (load) => load.client.delete(`/v1/adapters/${adapterAt(load).name}${pick(DRAINS, load.random())}`)],
  [2, (load) => load.client.patch(`/v1/adapters/${adapterAt(load).name}`, { pinned: load.random() < 0.3 })],
  [2, (load) => load.client.put(taskAt(load), { adapter: adapterAt(load).name, pinned: load.random() < 0.3 })],
  [1, (load) => load.client.put(taskAt(load), { shadow: shadowAt(load) })],
  [1, (load) => load.client.put(taskAt(load), { routes: routesAt(load) })],
  [2, activate],
  [1, (load) => load.client.post(`${taskAt(load)}/rollback`, {})],
  [0.5, (load) => load.client.delete(taskAt(load))],
]

/** One random change: which it is, to what and how, follows from the load's random numbers. */
export async function changeAtRandom(load: RandomLoad): Promise<void> {
  const total = CHANGES.reduce((sum, [weight]) => sum + weight, 0)
  let rest = total * load.random()
  const [, change] = CHANGES.find(([weight]) => (rest -= weight) < 0) ?? CHANGES[0]!
  try {
    const { status, body } = await change(load)
    if (status < 300) load.counts.changes++
    else load.refused('a change', status, body.error)
  } catch (error) {
    load.failed('a change', error)
  }
}

async function upload(load: RandomLoad): Promise<Outcome> {
  const adapter = adapterAt(load)
  load.counts.uploads++
  const outcome: Outcome = await load.client.upload(adapter.name, versionFiles(adapter, load.counts.uploads))
  const { version } = outcome.body
  if (version !== undefined) load.newest.set(adapter.name, Number(version.slice(1)))
  return outcome
}

async function deleteVersion(load: RandomLoad): Promise<Outcome> {
  const { name } = adapterAt(load)
  return load.client.delete(`/v1/adapters/${name}/versions/${versionAt(load, name)}${pick(DRAINS, load.random())}`)
}

async function activate(load: RandomLoad): Promise<Outcome> {
  const { name } = adapterAt(load)
  const version = load.random() < 0.5 ? {} : { version: versionAt(load, name) }
  return load.client.post(`${taskAt(load)}/activate`, { adapter: name, ...version })
}

function taskAt({ random }: RandomLoad): string {
  return `/v1/tasks/${pick(TASKS, random())}`
}

function shadowAt(load: RandomLoad): object | null {
  return load.random() < 0.5 ? { adapter: adapterAt(load).name, sample: 0.5 } : null
}

function routesAt(load: RandomLoad): object[] {
  return [3, 1].map((weight) => ({ adapter: adapterAt(load).name, weight }))
}
