import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openSafetensors } from '../../src/safetensors/file.ts'
import { valueBytes, writeSafetensors } from '../../src/safetensors/writer.ts'
import { temporaryFolder } from '../support/model-folder.ts'

const tensor = (name: string, shape: readonly number[], values: readonly number[]) => {
  return { name, shape, values: () => Float32Array.from(values) }
}

it.each(['a', 'ab', 'abc', 'abcd'])('what is written is read again, values aligned: tensor %s', async (name) => {
  const path = join(await temporaryFolder(), 'w.safetensors')
  const tensors = [tensor(name, [2, 3], [1, -2, 3, 4, 5, 6.5]), tensor('none', [0, 4], []), tensor('ö', [1], [7])]
  writeSafetensors(path, tensors, { format: 'pt' })
  expect(valueBytes(tensors)).toBe(28)
  const file = openSafetensors(path, 'invalid_adapter')
  expect(file.metadata).toEqual({ format: 'pt' })
  expect([...file.tensors.keys()]).toEqual([name, 'none', 'ö'])
  expect(file.entry(name).offset % 8).toBe(0)
  expect(file.entry(name).shape).toEqual([2, 3])
  expect([...file.readF32(name), ...file.readF32('none'), ...file.readF32('ö')]).toEqual([1, -2, 3, 4, 5, 6.5, 7])
  file.close()
})

it('neither writes over a file nor writes values that do not fill their shape', async () => {
  const dir = await temporaryFolder()
  writeFileSync(join(dir, 'taken'), 'mine')
  expect(() => writeSafetensors(join(dir, 'taken'), [], {})).toThrow('EEXIST')
  expect(readFileSync(join(dir, 'taken'), 'utf8')).toBe('mine')
  expect(() => writeSafetensors(join(dir, 'new'), [tensor('a', [3], [1, 2])], {})).toThrow('a: 2 values for [3]')
})
