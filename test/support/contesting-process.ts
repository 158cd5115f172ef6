/**
 * One of many servers that change one task at once: `node --import tsx contesting-process.ts STORE NUMBER CHANGES`. It says that it is ready, changes the task
 * after a line on stdin, tells what became of every change, and says after another line, the number of the last record, what it has seen.
 */
import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { Rooms } from '../../src/app/rooms.ts'
import { canonicalJson } from '../../src/core/json.ts'
import { TroupeError } from '../../src/core/errors.ts'
import { seededRandom } from '../chaos/scenarios/scale.ts'
import { readFakeAdapter } from './fake-adapter.ts'
import { FakeHost } from './fake-host.ts'
import { openLocation, QUIET } from './store-folder.ts'

/** What became of a change: `applied`, or the code of the refusal. */
export interface Outcome {
  readonly request: string
  readonly outcome: string
}

/** What a server has seen: equal on all of them, or somebody missed something. */
export interface Seen {
  readonly head: number
  readonly records: string
  readonly picture: string
}

export const TASK = 'contested'
export const ADAPTER = 'contested'
const FOLLOW_MS = 200

const [location = '', number = '', changes = ''] = process.argv.slice(2)

async function main(): Promise<void> {
  const rooms = await Rooms.open({
    open: await openLocation(location),
    host: new FakeHost(),
    memory: { budgetBytes: 1_000 },
    reader: readFakeAdapter,
    log: QUIET,
    pace: { followMs: FOLLOW_MS },
  })
  const records = createHash('sha256')
  rooms.journal.onRecord(({ n, id, type }) => records.update(`${n} ${id} ${type}\n`))
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
  console.log('"ready"')
  await lines.next()
  const random = seededRandom(Number(number))
  for (let n = 0; n < Number(changes); n++) {
    const request = `${number}-${n}`
    console.log(
      JSON.stringify({ request, outcome: await change(rooms, random(), random(), request) } satisfies Outcome),
    )
  }
  console.log('"done"')
  const { value } = (await lines.next()) as { value: string }
  while (rooms.journal.head < Number(value)) await sleep(10)
  const { state } = rooms.catalogue
  const picture = canonicalJson({ tasks: [...state.tasks.values()], adapters: [...state.adapters.values()] })
  console.log(JSON.stringify({ head: rooms.journal.head, records: records.digest('hex'), picture } satisfies Seen))
  await rooms.close()
}

/** Some changes are decided on the task as it is, some on a revision that another server may have left behind meanwhile. */
async function change(rooms: Rooms, kind: number, choice: number, requestId: string): Promise<string> {
  const origin = { by: 'tests', requestId }
  const { revision } = rooms.catalogue.getTask(TASK, '*')
  const version = 1 + Math.floor(choice * 4)
  try {
    if (kind < 0.4) await rooms.changes.activate(TASK, { adapter: ADAPTER, version }, origin)
    else if (kind < 0.5) await rooms.changes.rollback(TASK, origin)
    else await rooms.changes.putTask(TASK, { description: `${requestId} of ${choice}` }, origin, revision)
    return 'applied'
  } catch (error) {
    if (error instanceof TroupeError) return error.code
    throw error
  }
}

if (process.argv[1] === import.meta.filename) await main()
