import { createInterface } from 'node:readline'
import { Registry } from '../../src/registry/registry.ts'
import { readFakeAdapter, stageFake } from './fake-adapter.ts'
import { FakeHost } from './fake-host.ts'

/** What the other process is asked to do; one line of JSON each, answered by one line. */
export type StoreCommand =
  | { readonly do: 'upload'; readonly name: string; readonly effect: number }
  | { readonly do: 'put'; readonly task: string; readonly adapter: string }
  | { readonly do: 'activate'; readonly task: string; readonly adapter: string }
  | { readonly do: 'delete'; readonly name: string; readonly version: number }
  | { readonly do: 'look' }

/** A second server process on a store, without a server: started by `store-processes.test.ts`. */
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }
const registry = await Registry.open({
  storeDir: process.argv[2] ?? '',
  host: new FakeHost(),
  memoryBytes: 1_000,
  reader: readFakeAdapter,
  log: silent,
})

async function run(command: StoreCommand): Promise<unknown> {
  switch (command.do) {
    case 'upload': {
      const staging = await stageFake(await registry.stageUpload(), { effect: command.effect })
      const { record } = await registry.addVersion(command.name, staging, { source: 'upload', by: 'other' })
      return { version: record.version, digest: record.digest }
    }
    case 'put':
      return (await registry.putTask(command.task, { routes: [{ adapter: command.adapter }] }, 'other')).task
    case 'activate':
      return (await registry.activate(command.task, { adapter: command.adapter }, 'other')).task
    case 'delete':
      return registry.deleteVersion(command.name, command.version)
    case 'look':
      return {
        adapters: registry
          .listAdapters('*')
          .map(({ name, versions }) => [name, versions.map(({ version }) => version)]),
        tasks: registry.listTasks('*').map(({ name, routes }) => [name, routes]),
      }
  }
}

console.log('"ready"')
for await (const line of createInterface({ input: process.stdin })) {
  const answer = await run(JSON.parse(line) as StoreCommand).catch((error: unknown) => ({ error: String(error) }))
  console.log(JSON.stringify(answer))
}
await registry.close()
