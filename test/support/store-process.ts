import { createInterface } from 'node:readline'
import { Rooms } from '../../src/app/rooms.ts'
import { readFakeAdapter, stageFake } from './fake-adapter.ts'
import { FakeHost } from './fake-host.ts'
import { openLocation, QUIET } from './store-folder.ts'

/** What the other process is asked to do; one line of JSON each, answered by one line. */
export type StoreCommand =
  | { readonly do: 'upload'; readonly name: string; readonly effect: number }
  | { readonly do: 'put'; readonly task: string; readonly adapter: string }
  | { readonly do: 'activate'; readonly task: string; readonly adapter: string }
  | { readonly do: 'delete'; readonly name: string; readonly version: number }
  | { readonly do: 'look' }

/** A second server process on a store, without a server: started by `processes.test.ts`. */
const ME = { by: 'other' }
const [, , location = ''] = process.argv
const rooms = await Rooms.open({
  open: await openLocation(location),
  host: new FakeHost(),
  memory: { budgetBytes: 1_000 },
  reader: readFakeAdapter,
  log: QUIET,
})

async function run(command: StoreCommand): Promise<unknown> {
  switch (command.do) {
    case 'upload': {
      const staging = await stageFake(await rooms.intake.stage(), { effect: command.effect })
      const { record } = await rooms.intake.add(command.name, staging, { source: 'upload', by: 'other' })
      return { version: record.version, digest: record.digest }
    }
    case 'put':
      return (await rooms.changes.putTask(command.task, { routes: [{ adapter: command.adapter }] }, { by: 'other' }))
        .task
    case 'activate':
      return (await rooms.changes.activate(command.task, { adapter: command.adapter }, { by: 'other' })).task
    case 'delete':
      return rooms.residency.deleteVersion(command.name, command.version, ME)
    case 'look':
      return {
        adapters: rooms.catalogue
          .listAdapters('*')
          .map(({ name, versions }) => [name, versions.map(({ version }) => version)]),
        tasks: rooms.catalogue.listTasks('*').map(({ name, routes }) => [name, routes]),
      }
  }
}

console.log('"ready"')
for await (const line of createInterface({ input: process.stdin })) {
  const answer = await run(JSON.parse(line) as StoreCommand).catch((error: unknown) => ({ error: String(error) }))
  console.log(JSON.stringify(answer))
}
await rooms.close()
