import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { JsonObject } from '../../../src/core/json.ts'
import { prepareModel } from '../../../src/model/prepare.ts'
import { WEIGHTS_FILE } from '../../../src/model/prepared.ts'
import { openSafetensors } from '../../../src/safetensors/file.ts'
import { temporaryFolder } from '../../support/model-folder.ts'
import { expectRefusalAsync } from '../../support/refusal.ts'
import type { TensorSpec } from '../../support/safetensors-writer.ts'
import { writeSafetensors } from '../../support/safetensors-writer.ts'

const TEXT_MODEL = join(import.meta.dirname, '../../fixtures/conformance/gemma3/model')

/** The fixture's text model inside one with a vision tower, in f32. */
async function multimodal(rename: (name: string) => string, more: Record<string, TensorSpec> = {}): Promise<string> {
  const dir = join(await temporaryFolder(), 'model')
  mkdirSync(dir)
  cpSync(TEXT_MODEL, dir, { recursive: true })
  rmSync(join(dir, 'model.safetensors'))
  const file = openSafetensors(join(TEXT_MODEL, 'model.safetensors'), 'invalid_model')
  const tensors: Record<string, TensorSpec> = { ...more }
  for (const [name, { shape }] of file.tensors) tensors[rename(name)] = { shape, values: file.readF32(name) }
  file.close()
  writeSafetensors(join(dir, 'model.safetensors'), tensors)
  const text = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')) as JsonObject
  const config = {
    architectures: ['Gemma3ForConditionalGeneration'],
    model_type: 'gemma3',
    text_config: text,
    vision_config: { model_type: 'siglip_vision_model' },
  }
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config))
  return dir
}

function prepare(modelDir: string, cacheDir: string): ReturnType<typeof prepareModel> {
  return prepareModel({ modelDir, cacheDir, precision: 'f32' })
}

it.each([
  ['as published', 'language_model.model.', 'vision_tower.x.weight'],
  ['as saved later', 'model.language_model.', 'model.multi_modal_projector.y'],
])('Gemma 3 with a vision tower is served as its text model, names %s', async (_, prefix, other) => {
  const cacheDir = await temporaryFolder()
  const rename = (name: string): string => name.replace(/^model\./, prefix)
  const whole = await prepare(await multimodal(rename, { [other]: { shape: [2, 2] } }), cacheDir)
  const text = await prepare(TEXT_MODEL, cacheDir)
  const [found, expected] = [whole, text].map(({ dir }) => readFileSync(join(dir, WEIGHTS_FILE)))
  expect(found!.equals(expected!)).toBe(true)
  expect(whole.manifest.info).toMatchObject({
    ...text.manifest.info,
    family: 'gemma3',
    fingerprint: expect.any(String) as string,
    name: 'model',
  })
})

it('refuses tensors of parts it does not know, and a folder without text model', async () => {
  const cacheDir = await temporaryFolder()
  const rename = (name: string): string => name.replace(/^model\./, 'language_model.model.')
  const dir = await multimodal(rename, { 'audio_tower.weight': { shape: [1] } })
  await expectRefusalAsync(() => prepare(dir, cacheDir), 'invalid_model', '"audio_tower.weight"')
  const config = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')) as JsonObject
  writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...config, text_config: undefined }))
  await expectRefusalAsync(() => prepare(dir, cacheDir), 'invalid_model', '"text_config" is missing')
})
