import type { ErrorBody } from '../../chaos/scenarios/generation.ts'
import { pick } from '../../chaos/scenarios/scale.ts'
import type { Answer } from '../../support/client.ts'
import type { RandomLoad } from './random.ts'
import { TASKS, versionFiles } from './random-names.ts'

const MOST_VERSION = 6
/** Seconds that those who use a deleted version get to finish; null = the server's default. */
const DRAINS = ['?drain_seconds=0', '?drain_seconds=1', ''] as const

type Change = (load: RandomLoad) => Promise<Answer<Partial<ErrorBody>>>

/** What may happen to adapters and tasks, the more frequent the more often it is listed. */
const CHANGES: readonly Change[] = [
  upload,
  upload,
  upload,
  upload,
  ({ client, ...load }) => client.delete(`/v1/adapters/${nameOf(load)}/versions/${versionOf(load)}${drainOf(load)}`),
  ({ client, ...load }) => client.delete(`/v1/adapters/${nameOf(load)}/versions/${versionOf(load)}${drainOf(load)}`),
  ({ client, ...load }) => client.delete(`/v1/adapters/${nameOf(load)}${drainOf(load)}`),
  ({ client, ...load }) => client.patch(`/v1/adapters/${nameOf(load)}`, { pinned: load.random() < 0.3 }),
  ({ client, ...load }) =>
    client.put(`/v1/tasks/${taskOf(load)}`, { adapter: nameOf(load), pinned: load.random() < 0.3 }),
  ({ client, ...load }) => client.put(`/v1/tasks/${taskOf(load)}`, { shadow: shadowOf(load) }),
  ({ client, ...load }) => client.put(`/v1/tasks/${taskOf(load)}`, { routes: routesOf(load) }),
  ({ client, ...load }) => client.post(`/v1/tasks/${taskOf(load)}/activate`, { adapter: nameOf(load) }),
  ({ client, ...load }) =>
    client.post(`/v1/tasks/${taskOf(load)}/activate`, { adapter: nameOf(load), version: versionOf(load) }),
  ({ client, ...load }) => client.post(`/v1/tasks/${taskOf(load)}/rollback`, {}),
  ({ client, ...load }) => client.delete(`/v1/tasks/${taskOf(load)}`),
]

/** One random change; which it is and how it is meant are the load's random numbers. */
export async function changeAtRandom(load: RandomLoad): Promise<void> {
  const change = pick(CHANGES, load.random())
  try {
    const { status, body } = await change(load)
    if (status < 300) load.counts.changes++
    else load.refused('a change', status, body.error)
  } catch (error) {
    load.failed('a change', error)
  }
}

async function upload(load: RandomLoad): Promise<Answer<Partial<ErrorBody>>> {
  const adapter = pick(load.adapters, load.random())
  load.counts.uploads++
  return load.client.upload(adapter.name, versionFiles(adapter, load.counts.uploads))
}

type Choosing = Pick<RandomLoad, 'random' | 'adapters'>

function nameOf({ adapters, random }: Choosing): string {
  return pick(adapters, random()).name
}

function taskOf({ random }: Choosing): string {
  return pick(TASKS, random())
}

function versionOf({ random }: Choosing): string {
  return `v${1 + Math.floor(random() * MOST_VERSION)}`
}

function drainOf({ random }: Choosing): string {
  return pick(DRAINS, random())
}

function shadowOf(load: Choosing): object | null {
  return load.random() < 0.5 ? { adapter: nameOf(load), sample: 0.5 } : null
}

function routesOf(load: Choosing): object[] {
  return [
    { adapter: nameOf(load), weight: 3 },
    { adapter: nameOf(load), weight: 1 },
  ]
}
