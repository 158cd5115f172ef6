import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { prepareModel } from '../../src/model/prepare.ts'
import type { PreparedModel } from '../../src/model/prepared.ts'
import { MANIFEST_FILE, WEIGHTS_FILE } from '../../src/model/prepared.ts'
import { verifyWeights } from '../../src/model/verify-weights.ts'
import { temporaryFolder } from '../support/model-folder.ts'
import { writeCheckpoint } from '../support/tiny-checkpoint.ts'

const DAMAGED = ['layers.0.qkv.d', 'head.w']

async function prepared(): Promise<{ model: PreparedModel; path: string; again: () => Promise<PreparedModel> }> {
  const root = await temporaryFolder()
  const options = { modelDir: writeCheckpoint(join(root, 'tiny')), cacheDir: join(root, 'cache') }
  const again = (): Promise<PreparedModel> => prepareModel({ ...options, precision: 'int8' })
  const model = await again()
  return { model, path: join(model.dir, WEIGHTS_FILE), again }
}

/** The file's bytes with one flipped in each of the tensors. */
function flippedBytes({ manifest }: PreparedModel, path: string): Buffer {
  const bytes = readFileSync(path)
  for (const name of DAMAGED) bytes[manifest.tensors[name]!.offset + 3]! ^= 1
  return bytes
}

it('names tensors whose bytes have changed on disk, and has the model prepared again', async () => {
  const { model, path, again } = await prepared()
  let compared = 0
  expect(await verifyWeights(model, (bytes) => (compared += bytes))).toEqual([])
  expect(compared).toBe(Object.values(model.manifest.tensors).reduce((sum, { bytes }) => sum + bytes, 0))

  const whole = readFileSync(path)
  writeFileSync(path, flippedBytes(model, path))
  expect(await verifyWeights(model)).toEqual(DAMAGED)
  expect(existsSync(join(model.dir, MANIFEST_FILE))).toBe(false)

  await again()
  expect(readFileSync(path).equals(whole)).toBe(true)
})

it('is as good when another server has set the model aside already', async () => {
  const { model, path } = await prepared()
  writeFileSync(path, flippedBytes(model, path))
  renameSync(join(model.dir, MANIFEST_FILE), join(model.dir, 'elsewhere'))
  expect(await verifyWeights(model)).toEqual(DAMAGED)
})

it('leaves a model alone that another server has prepared anew meanwhile', async () => {
  const { model, path } = await prepared()
  const whole = readFileSync(path)
  writeFileSync(path, flippedBytes(model, path))
  let replaced = false
  const replace = (): void => {
    if (replaced) return
    replaced = true
    writeFileSync(`${path}.new`, whole)
    renameSync(`${path}.new`, path)
  }
  expect(await verifyWeights(model, replace)).toEqual(DAMAGED)
  expect(existsSync(join(model.dir, MANIFEST_FILE))).toBe(true)
})

it('reads no faster than it is told to', async () => {
  const { model } = await prepared()
  let bytes = 0
  const began = performance.now()
  await verifyWeights(model, (count) => (bytes += count), 1e6)
  expect(performance.now() - began).toBeGreaterThan((bytes / 1e6) * 1000 * 0.9)
})
