import { existsSync, readdirSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ensureWritableFolder } from '../../src/config/writable-folder.ts'
import { runCommand } from '../support/command.ts'
import { temporaryFolder } from '../support/model-folder.ts'

it('makes what is missing and leaves nothing else behind', async () => {
  const dir = await temporaryFolder()
  expect(ensureWritableFolder('store', join(dir, 'a/b'))).toEqual([join(dir, 'a'), join(dir, 'a/b')])
  expect(ensureWritableFolder('store', join(dir, 'a/b'))).toEqual([])
  expect(readdirSync(join(dir, 'a/b'))).toEqual([])
})

it('names the folder, the reason and the flag of what cannot be', async () => {
  const dir = await temporaryFolder()
  const file = join(dir, 'file')
  await writeFile(file, '')
  const refusal = (setting: 'store' | 'cacheDir', path: string): unknown => {
    try {
      return ensureWritableFolder(setting, path)
    } catch (error) {
      return error
    }
  }
  const refused = (message: RegExp, param: string): unknown =>
    expect.objectContaining({ code: 'invalid_config', param, message: expect.stringMatching(message) as string })
  expect(refusal('store', file)).toEqual(
    refused(/the store .*file cannot be made: a part of the path is a file;/, 'store'),
  )
  expect(refusal('cacheDir', join(file, 'x'))).toEqual(refused(/choose another with --cache-dir/, 'cacheDir'))
})

// Only Linux has the file system that refuses folders in this way.
it.skipIf(!existsSync('/proc/self'))(
  'ends at once for a folder that the kernel does not allow (where there is a /proc)',
  async () => {
    // Node's own recursive mkdir never returns from this.
    for (const flag of ['--store', '--cache-dir'])
      expect(await runCommand(['serve', flag, '/proc/nope/deeper', '--port', '0'])).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/\/proc\/nope\/deeper cannot be made: .*does not allow/) as string,
      })
  },
)
