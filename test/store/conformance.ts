import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { catalogueBook } from '../../src/catalogue/book.ts'
import { CatalogueState } from '../../src/catalogue/state.ts'
import { TroupeError } from '../../src/core/errors.ts'
import { deleteBlob, listBlobs, newBlob, putBlob, readBlobFile } from '../../src/store/blobs.ts'
import { checkFormat } from '../../src/store/format.ts'
import { Journal } from '../../src/store/journal.ts'
import type { Store } from '../../src/store/port.ts'
import { checkPutIfAbsent } from '../../src/store/race-check.ts'
import { recordKey } from '../../src/store/record.ts'
import { findDamage, refuseWhileServed, setAside } from '../../src/store/repair.ts'
import { ServerLeases } from '../../src/store/server-leases.ts'
import { newVersion } from '../support/catalogue.ts'
import { fakeDigest } from '../support/fake-adapter.ts'
import { ME, QUIET } from '../support/store-folder.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text)
const text = (found: Uint8Array | null): string | null => found && Buffer.from(found).toString()

interface OpenJournal {
  readonly journal: Journal
  readonly state: CatalogueState
}

/** A journal of the catalogue on a store. */
async function openJournal(store: Store, server: string): Promise<OpenJournal> {
  const state = new CatalogueState()
  const journal = await Journal.open({ store, books: [catalogueBook(state)], server, log: QUIET })
  return { journal, state }
}

function taskPut(name: string, revision: number) {
  const empty = { description: '', routes: [], shadow: null, pinned: false, prompt: null, system: null, defaults: {} }
  return { type: 'task.put', data: { name, ...empty, revision, backTo: null } }
}

/**
 * What every store must do, and what is built on it.
 * @param start gives what opens one and the same new store again and again
 */
export function describeStore(name: string, start: () => Promise<() => Promise<Store>>): void {
  describe(`store: ${name}`, () => {
    it('keeps what was put first, whole, for whoever opens it next', async () => {
      const open = await start()
      const store = await open()
      expect(await store.get('a/b')).toBeNull()
      expect(await store.put('a/b', bytes('first'))).toBe(true)
      expect(await store.put('a/b', bytes('second'))).toBe(false)
      expect(text(await (await open()).get('a/b'))).toBe('first')
      expect(await store.put('a/empty', bytes(''))).toBe(true)
      expect(text(await store.get('a/empty'))).toBe('')
    })

    it('takes and gives files', async () => {
      const store = await (await start())()
      const dir = await mkdtemp(join(tmpdir(), 'troupe-store-'))
      await writeFile(join(dir, 'from'), 'x'.repeat(300_000))
      expect(await store.put('blobs/x/file', { file: join(dir, 'from') })).toBe(true)
      expect(await store.put('blobs/x/file', { file: join(dir, 'from') })).toBe(false)
      expect(await store.fetch('blobs/x/file', join(dir, 'to'))).toBe(true)
      expect(await readFile(join(dir, 'to'), 'utf8')).toBe('x'.repeat(300_000))
      expect(await store.fetch('blobs/x/none', join(dir, 'none'))).toBe(false)
    })

    it('lists keys in order, below a prefix and after a key, and forgets what was deleted', async () => {
      const store = await (await start())()
      for (const key of ['j/003', 'j/001', 'j/002', 'k/1', 'j/sub/9']) await store.put(key, bytes(key))
      expect(await store.list('j/')).toEqual(['j/001', 'j/002', 'j/003', 'j/sub/9'])
      expect(await store.list('j/', 'j/002')).toEqual(['j/003', 'j/sub/9'])
      expect(await store.list('nothing/')).toEqual([])
      await store.delete('j/sub/9')
      await store.delete('j/sub/9')
      expect(await store.list('j/', 'j/003')).toEqual([])
    })

    it.each(['../x', 'a/../b', '/a', 'a//b', '', 'a/.b', 'a b'])('refuses the key %j', async (key) => {
      const store = await (await start())()
      await expect(store.put(key, bytes('x'))).rejects.toThrow('cannot be a key')
    })

    it('lets exactly one of many win, again and again', async () => {
      const open = await start()
      const stores = [await open(), await open()]
      for (let round = 0; round < 20; round++) {
        const puts = Array.from({ length: 8 }, (_, n) => stores[n % 2]!.put(`races/${round}`, bytes(`${n}`)))
        const won = (await Promise.all(puts)).flatMap((isWon, n) => (isWon ? [`${n}`] : []))
        expect(won).toEqual([text(await stores[0]!.get(`races/${round}`))])
      }
      await checkPutIfAbsent(stores[0]!)
    })

    it('is refused when it has another format', async () => {
      const store = await (await start())()
      await store.put('format.json', bytes('{"format": 99}'))
      await expect(checkFormat(store)).rejects.toThrow(/has the format 99/)
    })

    it('carries a journal on which all writers agree: every change once, or refused', async () => {
      const store = await start()
      const journals = await Promise.all([1, 2, 3].map(async (n) => openJournal(await store(), `server-${n}`)))
      const raced = journals.flatMap(({ journal, state }) =>
        Array.from({ length: 8 }, async () => {
          const change = () => taskPut('t', (state.tasks.get('t')?.revision ?? 0) + 1)
          await journal.append(change, { by: 'me', requestId: 'r' })
        }),
      )
      await Promise.all(raced)
      for (const { journal } of journals) await journal.follow()
      for (const { state, journal } of journals)
        expect([journal.head, state.tasks.get('t')?.revision]).toEqual([24, 24])
      const records = await journals[0]!.journal.read(0, 100)
      expect(records.map(({ n, based, request }) => [n, based, request])).toEqual(
        Array.from({ length: 24 }, (_, n) => [n + 1, n, 'r']),
      )
      expect(new Set(records.map(({ server }) => server)).size).toBe(3)
      await expect(journals[0]!.journal.append(taskPut('t', 3), ME)).rejects.toMatchObject({ code: 'conflict' })
    })

    it('starts from a snapshot with the same content as from all records', async () => {
      const open = await start()
      const first = await openJournal(await open(), 'a')
      for (let n = 1; n <= 70; n++)
        await first.journal.append({ type: 'version.added', data: newVersion(`a-${n}`, n) }, ME)
      await first.journal.append(taskPut('t', 1), ME)
      await first.journal.close()
      const store = await open()
      expect(await store.list('snapshots/')).toHaveLength(1)
      const again = await openJournal(store, 'b')
      const picture = ({ state, journal }: OpenJournal) => [journal.head, [...state.adapters], [...state.tasks]]
      expect(picture(again)).toEqual(picture(first))
      for (const key of await store.list('snapshots/')) await store.delete(key)
      expect(picture(await openJournal(store, 'c'))).toEqual(picture(first))
    })

    it('names records that were altered, cut off or are of an unknown type, and refuses changes on them', async () => {
      for (const damage of [
        (record: string) => record.replace('"by":"me"', '"by":"you"'),
        (record: string) => record.slice(0, 40),
        () => '{"n":2}',
      ]) {
        const store = await (await start())()
        const { journal } = await openJournal(store, 'a')
        for (const name of ['t1', 't2', 't3']) await journal.append(taskPut(name, 1), ME)
        const key = recordKey(2)
        const record = text(await store.get(key))!
        await store.delete(key)
        await store.put(key, bytes(damage(record)))
        const after = await openJournal(store, 'b')
        expect([...after.state.tasks.keys()]).toEqual(['t1', 't3'])
        expect(after.journal.unusable).toMatchObject([{ n: 2, unread: true }])
        await expect(after.journal.append(taskPut('t4', 1), ME)).rejects.toMatchObject({ code: 'storage_error' })
        await store.delete(key)
        await store.put(key, bytes(record))
        await (await openJournal(store, 'c')).journal.append(taskPut('t4', 1), ME)
      }
    })

    it('names a record that is missing', async () => {
      const store = await (await start())()
      const { journal } = await openJournal(store, 'a')
      for (const name of ['t1', 't2', 't3']) await journal.append(taskPut(name, 1), ME)
      await store.delete(recordKey(2))
      await expect(openJournal(store, 'b')).rejects.toThrow(/record 2 of the journal is missing/)
    })

    it('goes on without records that were damaged or removed, once they are set aside', async () => {
      const store = await (await start())()
      const { journal } = await openJournal(store, 'a')
      for (const name of ['t1', 't2', 't3', 't4']) await journal.append(taskPut(name, 1), ME)
      const cut = text(await store.get(recordKey(2)))!.slice(0, 40)
      for (const n of [2, 3]) await store.delete(recordKey(n))
      await store.put(recordKey(2), bytes(cut))
      const damaged = await findDamage(store, QUIET)
      expect(damaged).toMatchObject([
        { n: 2, isCovered: false, reason: expect.stringMatching(/JSON/) as string },
        { n: 3, bytes: null },
      ])
      const kept = [await setAside(store, damaged[0]!), await setAside(store, damaged[1]!)]
      expect([text(await store.get(kept[0]!)), kept[1]]).toEqual([cut, null])
      expect(await findDamage(store, QUIET)).toEqual([])
      await expect(setAside(store, damaged[1]!)).rejects.toMatchObject({ code: 'conflict' })
      const after = await openJournal(store, 'b')
      expect([...after.state.tasks.keys()]).toEqual(['t1', 't4'])
      await after.journal.append(taskPut('t5', 1), ME)
      expect((await after.journal.read(1, 1))[0]).toMatchObject({ type: 'record.lost', data: { kept: kept[0] } })
    })

    it('is not repaired while a server lives on it; one that was killed is forgotten', async () => {
      const store = await (await start())()
      let now = 0
      const server = new ServerLeases(store, { server: 'one', host: 'h' }, () => 0)
      await server.beat()
      const passes = (beats: boolean) => async (): Promise<void> => {
        now += 9_000
        if (beats) await server.beat()
      }
      const refused = refuseWhileServed(store, passes(true), () => now)
      await expect(refused).rejects.toThrow(/stop them first \(one\)/)
      await refuseWhileServed(store, passes(false), () => now)
    })

    it('keeps blobs apart, whoever has the same digest', async () => {
      const store = await (await start())()
      const dir = await mkdtemp(join(tmpdir(), 'troupe-blob-'))
      await writeFile(join(dir, 'one.json'), '1')
      await writeFile(join(dir, 'two.json'), '2')
      const digest = fakeDigest({ effect: 1 })
      const ids = [newBlob(digest, 1), newBlob(digest, 2)]
      for (const id of ids) await putBlob(store, id, dir, ['one.json', 'two.json'])
      expect((await listBlobs(store)).size).toBe(2)
      await deleteBlob(store, ids[0]!)
      expect(await readBlobFile(store, ids[0]!, 'one.json')).toBeNull()
      expect(text(await readBlobFile(store, ids[1]!, 'two.json'))).toBe('2')
    })

    it('shows the leases of live servers, and forgets a server that is silent', async () => {
      const store = await (await start())()
      let now = 0
      let released = 3
      const [one, two] = ['one', 'two'].map((server) => {
        return new ServerLeases(
          store,
          { server, host: 'h' },
          () => released,
          () => now,
        )
      })
      await one!.beat()
      expect(await two!.others()).toMatchObject([{ server: 'one', released: 3 }])
      now += 50_000
      released = 4
      await one!.beat()
      expect(await two!.others()).toMatchObject([{ server: 'one', released: 4 }])
      now += 61_000
      expect(await two!.others()).toEqual([])
      expect(await store.list('servers/')).toEqual([])
      await one!.beat()
      await one!.close()
      expect(await two!.others()).toEqual([])
    })

    it('takes an answer that got lost for what it is: the record is there', async () => {
      const inner = await (await start())()
      let isLost = true
      const store = withPut(inner, async (key, body) => {
        const won = await inner.put(key, body)
        if (!isLost || !key.startsWith('journal/')) return won
        isLost = false
        throw new TroupeError('storage_error', 'the answer got lost')
      })
      const { journal, state } = await openJournal(store, 'a')
      await journal.append(taskPut('t', 1), ME)
      expect([journal.head, state.tasks.size, journal.trouble]).toEqual([1, 1, null])
    })
  })
}

/** A store whose `put` is another one. */
export function withPut(store: Store, put: Store['put']): Store {
  return {
    name: store.name,
    put,
    get: (key) => store.get(key),
    fetch: (key, path) => store.fetch(key, path),
    list: (prefix, after) => store.list(prefix, after),
    delete: (key) => store.delete(key),
    close: () => store.close(),
  }
}
