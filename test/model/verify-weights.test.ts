import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { prepareModel } from '../../src/model/prepare.ts'
import { MANIFEST_FILE, WEIGHTS_FILE } from '../../src/model/prepared.ts'
import { verifyWeights } from '../../src/model/verify-weights.ts'
import { temporaryFolder } from '../support/model-folder.ts'
import { writeCheckpoint } from '../support/tiny-checkpoint.ts'

it('names tensors whose bytes have changed on disk, and has the model prepared again', async () => {
  const root = await temporaryFolder()
  const options = {
    modelDir: writeCheckpoint(join(root, 'tiny')),
    cacheDir: join(root, 'cache'),
    precision: 'int8',
  } as const
  const prepared = await prepareModel(options)
  const never = new AbortController().signal
  expect(await verifyWeights(prepared, never)).toEqual([])

  const path = join(prepared.dir, WEIGHTS_FILE)
  const whole = readFileSync(path)
  const flipped = Buffer.from(whole)
  for (const name of ['layers.0.qkv.d', 'head.w']) flipped[prepared.manifest.tensors[name]!.offset + 3]! ^= 1
  writeFileSync(path, flipped)
  expect(await verifyWeights(prepared, never)).toEqual(['layers.0.qkv.d', 'head.w'])
  expect(existsSync(join(prepared.dir, MANIFEST_FILE))).toBe(false)

  await prepareModel(options)
  expect(readFileSync(path).equals(whole)).toBe(true)
})
