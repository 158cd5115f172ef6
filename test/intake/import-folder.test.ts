import { mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { dropFake, fakeFile } from '../support/fake-adapter.ts'
import { codeOf, openRooms, temporaryFolder, ME } from '../support/rooms.ts'

describe('import by path', () => {
  it('makes the files a version and leaves them where they are', async () => {
    const { rooms, storeDir } = await openRooms()
    await dropFake(join(storeDir, 'import', 'acme', 'run'), fakeFile({ effect: 1 }))
    for (const path of ['import/acme/run', join(storeDir, 'import', 'acme', 'run')]) {
      const { record } = await rooms.intake.importFolder('a', path, 'import/acme', { by: 'acme' })
      expect(record).toMatchObject({ version: 1, state: 'ready' })
    }
    expect(await codeOf(() => rooms.intake.importFolder('b', 'import/acme/none', '', ME))).toBe('not_found')
  })

  it('refuses every way out of the folder', async () => {
    const { rooms, storeDir } = await openRooms()
    const outside = await temporaryFolder()
    await dropFake(join(outside, 'run'), fakeFile({ effect: 1 }))
    await dropFake(join(storeDir, 'import', 'zeta', 'run'), fakeFile({ effect: 2 }))
    await mkdir(join(storeDir, 'import', 'acme'))
    await symlink(join(outside, 'run'), join(storeDir, 'import', 'acme', 'link'))
    await symlink(join(storeDir, 'import', 'zeta'), join(storeDir, 'import', 'acme', 'neighbour'))
    const paths = [
      ...[
        join(outside, 'run'),
        '/etc',
        '..',
        '../..',
        'import/acme/link',
        'import/acme/neighbour/run',
        'import/zeta/run',
      ],
      ...[
        'import/acme/../zeta/run',
        'import/acme',
        '.staging',
        `${storeDir}-other/x`,
        'import/acme/x\0y',
        '/nowhere/at/all',
      ],
    ]
    for (const path of paths) {
      expect([path, await codeOf(() => rooms.intake.importFolder('a', path, 'import/acme', { by: 'acme' }))]).toEqual([
        path,
        'invalid_request',
      ])
    }
    for (const path of [join(outside, 'run'), 'import/acme/link', '.staging', '.', '..'])
      expect([path, await codeOf(() => rooms.intake.importFolder('a', path, '', { by: 'admin' }))]).toEqual([
        path,
        'invalid_request',
      ])
    expect(rooms.catalogue.listAdapters('*')).toEqual([])
  })
})
