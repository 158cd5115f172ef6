import { rmSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { migrateStore, swapStores } from '../app/migrate-store.ts'
import { emptyBooks } from '../app/books.ts'
import type { Collection } from '../catalogue/collector.ts'
import { Collector } from '../catalogue/collector.ts'
import type { Settings } from '../config/schema.ts'
import { defaultCacheDir } from '../model/prepare.ts'
import { Journal } from '../store/journal.ts'
import type { OpenStore } from '../store/open.ts'
import { openStore } from '../store/open.ts'
import { findDamage, refuseWhileServed, setAside } from '../store/repair.ts'
import { ServerLeases } from '../store/server-leases.ts'
import { createLogger } from '../telemetry/log.ts'
import { ProgressLine } from './progress-line.ts'

type StoreSettings = Pick<Settings, 'store' | 'storeCacheBytes' | 'cacheDir'>

const log = createLogger('warn')

/** Writes a store of an earlier format anew; in its place, or in another one. */
export async function migrate(from: string, to: string | undefined, settings: StoreSettings): Promise<void> {
  const target = to ?? `${from}.migrating`
  if (to === undefined) rmSync(target, { recursive: true, force: true })
  const open = await openLocation({ ...settings, store: target })
  const progress = new ProgressLine('migrating')
  const { versions, tasks, skipped } = await migrateStore(from, open, log).finally(() => progress.finish())
  await open.store.close()
  for (const what of skipped) console.log(`left behind: ${what}`)
  console.log(`${versions} versions and ${tasks} tasks are in ${to ?? from}`)
  if (to === undefined) console.log(`the old store is ${await swapStores(from, target)}; remove it when you like`)
}

export interface CollectFlags {
  readonly dryRun?: boolean
  /** Minutes. */
  readonly grace: string
}

/** Removes files that nothing names, or says which. */
export async function collectGarbage({ dryRun, grace }: CollectFlags, settings: StoreSettings): Promise<void> {
  const open = await openLocation(settings)
  const { state, books } = emptyBooks()
  const server = `${hostname().replace(/[^A-Za-z0-9-]/g, '-')}-gc-${process.pid}`
  const journal = await Journal.open({ store: open.store, books, server, log })
  const leases = new ServerLeases(open.store, { server, host: hostname() }, () => journal.head)
  const collector = new Collector({ store: open.store, journal, state, leases, isUsed: () => false, log })
  try {
    const graceMs = Number(grace) * 60_000
    const found = dryRun ? await collector.look(graceMs) : await collector.collect(graceMs)
    console.log(renderCollection(found, dryRun ?? false))
  } finally {
    await journal.close()
    await open.store.close()
  }
}

/** Names records that cannot be read and, where that is asked for, sets them aside so that the journal goes on. */
export async function repair(apply: boolean, settings: StoreSettings): Promise<void> {
  const { store } = await openLocation(settings)
  try {
    const damaged = await findDamage(store, log)
    for (const { key, reason, isCovered } of damaged)
      console.log(`${key}: ${reason}${isCovered ? '; a snapshot has what it said, and it is left alone' : ''}`)
    const harmful = damaged.filter(({ isCovered }) => !isCovered)
    if (harmful.length === 0) console.log('every record that is needed can be read')
    else if (apply) {
      console.log('waiting until no server uses the store …')
      await refuseWhileServed(store)
      for (const one of harmful)
        console.log(`${one.key} is set aside: ${(await setAside(store, one)) ?? 'nothing was there'}`)
    } else {
      console.log(
        'put these records back from a backup, or stop all servers and go on without them: troupe store repair --apply',
      )
      process.exitCode = 1
    }
  } finally {
    await store.close()
  }
}

/** Prints what changed, newest last: the journal as it is. */
export async function printLog(count: string, settings: StoreSettings): Promise<void> {
  const open = await openLocation(settings)
  const journal = await Journal.open({
    store: open.store,
    books: emptyBooks().books,
    server: 'log',
    log,
  })
  for (const record of await journal.read(Math.max(0, journal.head - Number(count)), Number(count))) {
    const { n, at, by, server, request, type, data } = record
    console.log([n, at, type, `by ${by}`, `on ${server}`, request ?? '-', JSON.stringify(data)].join('  '))
  }
  await open.store.close()
}

function renderCollection({ orphans, removed, waiting }: Collection, isDry: boolean): string {
  const line = (count: number, what: string): string => `${count} ${count === 1 ? 'blob' : 'blobs'} ${what}`
  return [
    line(orphans.length, `that no version names ${isDry ? 'would be' : 'were'} condemned`),
    line(removed.length, `that nobody uses any more ${isDry ? 'would be' : 'were'} removed`),
    line(waiting.length, 'wait for servers that may still use them'),
  ].join('\n')
}

/** @throws TroupeError as `openStore` */
export async function openLocation({ store, storeCacheBytes, cacheDir }: StoreSettings): Promise<OpenStore> {
  const dir = join(cacheDir ?? defaultCacheDir(), 'stores')
  return openStore({ location: store, cacheDir: dir, cacheBytes: storeCacheBytes })
}
