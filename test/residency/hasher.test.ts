import { createHash, randomBytes } from 'node:crypto'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Hasher } from '../../src/residency/hasher.ts'
import { temporaryFolder } from '../support/rooms.ts'

async function fileOf(bytes: Uint8Array, flags: string): Promise<number> {
  const path = join(await temporaryFolder(), 'file')
  writeFileSync(path, bytes)
  const fd = openSync(path, flags)
  onTestFinished(() => closeSync(fd))
  return fd
}

function openHasher(): Hasher {
  const hasher = new Hasher()
  onTestFinished(() => hasher.close())
  return hasher
}

describe('Hasher', () => {
  it('hashes files of any size, several at once, whole however often they are read', async () => {
    const hasher = openHasher()
    const contents = [0, 1_000, 3_000_000, 5_000_001].map((size) => randomBytes(size))
    const fds = await Promise.all(contents.map((bytes) => fileOf(bytes, 'r')))
    const expected = contents.map((bytes) => createHash('sha256').update(bytes).digest('hex'))
    for (let round = 0; round < 2; round++) {
      expect(await Promise.all(fds.map((fd) => hasher.hash(fd)))).toEqual(expected)
    }
  })

  it('throws what reading throws, and goes on', async () => {
    const hasher = openHasher()
    const bytes = randomBytes(2_000_000)
    await expect(hasher.hash(await fileOf(bytes, 'a'))).rejects.toMatchObject({ code: 'EBADF', syscall: 'read' })
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    expect(await hasher.hash(await fileOf(bytes, 'r'))).toBe(sha256)
  })

  it('answers also when its thread ends meanwhile', async () => {
    const hasher = openHasher()
    const bytes = randomBytes(2_000_000)
    const answer = hasher.hash(await fileOf(bytes, 'r'))
    await hasher.close()
    expect(await answer).toBe(createHash('sha256').update(bytes).digest('hex'))
  })
})
