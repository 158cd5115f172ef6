/**
 * A process that changes a store all the time, to be killed: `node --import tsx registry-process.ts STORE SEED`. It waits for a
 * line on stdin before it opens the store, so that it can be started ahead. Every change is told on stdout as one line of JSON
 * before it begins and after it is acknowledged, written at once: what was told survives the kill.
 */
import { once } from 'node:events'
import { writeSync } from 'node:fs'
import { TroupeError } from '../../src/core/errors.ts'
import { Registry } from '../../src/registry/registry.ts'
import { readFakeAdapter, stageFake } from './fake-adapter.ts'
import { FakeHost } from './fake-host.ts'
import { changesOf } from './registry-changes.ts'
import type { Change, Told } from './registry-changes.ts'

const CLIENTS = 6

const [storeDir, seed] = process.argv.slice(2)
if (storeDir === undefined || seed === undefined) throw new Error('usage: registry-process STORE SEED')

function tell(told: Told): void {
  writeSync(1, `${JSON.stringify(told)}\n`)
}

async function apply(registry: Registry, adapter: string, task: string, change: Change): Promise<Told['result']> {
  switch (change.type) {
    case 'upload': {
      const staging = await stageFake(await registry.stageUpload(), { effect: change.effect })
      const { record } = await registry.addVersion(adapter, staging, { source: 'upload', by: 'tests' })
      return { version: record.version, digest: record.digest }
    }
    case 'deleteVersion':
      await registry.deleteVersion(adapter, change.version)
      return null
    case 'deleteAdapter':
      await registry.deleteAdapter(adapter)
      return null
    case 'putTask':
      return { routes: (await registry.putTask(task, { routes: [{ adapter }] }, 'tests')).task.routes }
    case 'activate':
      return { routes: (await registry.activate(task, { adapter, version: change.version }, 'tests')).task.routes }
    case 'rollback':
      return { routes: (await registry.rollback(task, 'tests')).task.routes }
    case 'deleteTask':
      await registry.deleteTask(task)
      return null
  }
}

async function client(registry: Registry, index: number): Promise<void> {
  const adapter = `owner-${index % 2}/adapter-${index}`
  const task = `owner-${index % 2}/task-${index}`
  let id = 0
  const versions = (): number[] => {
    const record = registry.listAdapters('*').find(({ name }) => name === adapter)
    return (record?.versions ?? []).filter(({ state }) => state === 'ready').map(({ version }) => version)
  }
  for (const change of changesOf(Number(seed) * CLIENTS + index, versions)) {
    const told = { client: index, id: id++, adapter, task, change }
    tell({ ...told, phase: 'begun', result: null })
    try {
      tell({ ...told, phase: 'acknowledged', result: await apply(registry, adapter, task, change) })
    } catch (error) {
      if (!(error instanceof TroupeError) || error.status >= 500) throw error
      tell({ ...told, phase: 'refused', result: null })
    }
  }
}

await once(process.stdin, 'data')
const registry = await Registry.open({
  storeDir,
  host: new FakeHost(),
  memoryBytes: 1_000,
  log: { info: () => undefined, warn: () => undefined, error: () => undefined },
  reader: readFakeAdapter,
})
await Promise.all(Array.from({ length: CLIENTS }, (_, index) => client(registry, index)))
