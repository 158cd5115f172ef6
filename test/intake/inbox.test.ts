import { existsSync } from 'node:fs'
import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Rooms } from '../../src/app/rooms.ts'
import { dropFake, fakeFile } from '../support/fake-adapter.ts'
import { ME, openRooms, upload } from '../support/rooms.ts'

async function looks(rooms: Rooms, count: number): Promise<void> {
  for (let n = 0; n < count; n++) await rooms.follow()
}

describe('a folder in the inbox', () => {
  it('becomes a version once its files rest, owned or not, and is cleared away with its owner’s folder', async () => {
    const { rooms, storeDir } = await openRooms()
    const inbox = join(storeDir, 'inbox')
    await dropFake(join(inbox, 'a'), fakeFile({ effect: 1 }))
    await dropFake(join(inbox, 'acme/b'), fakeFile({ effect: 2 }))
    await rooms.follow()
    expect(rooms.stats().versions).toBe(0)
    await rooms.follow()
    expect(rooms.catalogue.getAdapter('a', 'x').versions).toMatchObject([
      { version: 1, source: 'folder', state: 'ready' },
    ])
    expect(rooms.catalogue.getAdapter('acme/b', '*').versions).toMatchObject([{ version: 1 }])
    expect(await readdir(inbox)).toEqual([])
    expect(rooms.stats().imports).toBe(2)
    await dropFake(join(inbox, 'a'), fakeFile({ effect: 3 }))
    await looks(rooms, 2)
    expect(rooms.catalogue.getAdapter('a', 'x').versions.map(({ version }) => version)).toEqual([1, 2])
  })

  it('is not taken while it still changes', async () => {
    const { rooms, storeDir } = await openRooms()
    const folder = join(storeDir, 'inbox', 'a')
    for (const weights of ['half', 'half a', fakeFile({ effect: 1 })]) {
      await dropFake(folder, weights)
      await rooms.follow()
      expect(rooms.stats()).toMatchObject({ imports: 0, rejected: 0 })
    }
    await rooms.follow()
    expect(rooms.stats().imports).toBe(1)
  })

  it('that is refused stays with its reason, is looked at again when it changes, and is forgotten with it', async () => {
    const { rooms, storeDir } = await openRooms()
    const folder = join(storeDir, 'inbox', 'a')
    await dropFake(folder, 'garbage')
    await looks(rooms, 4)
    const [rejected] = rooms.catalogue.getAdapter('a', 'x').versions
    expect(rejected).toMatchObject({ version: 0, state: 'rejected', reason: expect.stringContaining(folder) as string })
    expect([rooms.stats().rejected, rooms.journal.head]).toEqual([1, 0])
    await writeFile(join(folder, 'adapter_model.safetensors'), fakeFile({ effect: 1 }))
    await looks(rooms, 2)
    expect(rooms.catalogue.getAdapter('a', 'x').versions).toMatchObject([{ version: 1, state: 'ready' }])
    await dropFake(folder, 'garbage')
    await looks(rooms, 2)
    await rm(folder, { recursive: true })
    await rooms.follow()
    expect(rooms.stats().rejected).toBe(0)
  })

  it('with bytes that are known already is cleared away; foreign files and checkpoints stay', async () => {
    const { rooms, storeDir } = await openRooms()
    await upload(rooms, 'a', { effect: 1 })
    const folder = join(storeDir, 'inbox', 'a')
    await dropFake(folder, fakeFile({ effect: 1 }))
    await writeFile(join(folder, 'training_args.bin'), 'pickle')
    await dropFake(join(storeDir, 'inbox', 'run', 'checkpoint-5'), fakeFile({ effect: 2 }))
    await looks(rooms, 3)
    expect(rooms.stats().versions).toBe(1)
    expect(await readdir(folder)).toEqual(['training_args.bin'])
    expect(existsSync(join(storeDir, 'inbox/run/checkpoint-5/adapter_config.json'))).toBe(true)
  })

  it('is tried again after a passing failure, and not for ever', async () => {
    const { rooms, storeDir, host } = await openRooms()
    await dropFake(join(storeDir, 'inbox', 'a'), fakeFile({ effect: 1 }))
    host.failure = 'the engine is busy'
    await looks(rooms, 3)
    expect(rooms.catalogue.listAdapters('*')).toEqual([])
    host.failure = null
    await rooms.follow()
    expect(rooms.catalogue.getAdapter('a', 'x').versions).toMatchObject([{ version: 1, state: 'ready' }])
    await dropFake(join(storeDir, 'inbox', 'b'), fakeFile({ effect: 2 }))
    host.failure = 'the engine is broken'
    await looks(rooms, 8)
    expect(rooms.catalogue.getAdapter('b', 'x').versions).toMatchObject([{ state: 'rejected' }])
    expect(await rooms.residency.deleteAdapter('a', ME)).toEqual({ status: 'deleted' })
  })
})
