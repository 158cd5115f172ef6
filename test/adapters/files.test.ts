import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { looksPickled } from '../../src/adapters/pickle.ts'
import { inspectAdapter } from '../../src/adapters/read.ts'
import { temporaryFolder } from '../support/model-folder.ts'
import { expectRefusal } from '../support/refusal.ts'
import { withHeader } from '../support/safetensors-writer.ts'
import { tinyBottleneck, tinyLora, writeAdapter } from '../support/tiny-adapters.ts'

describe('an adapter is recognised by its files', () => {
  it('a pickle under another name is still one; a header that begins like one is not', async () => {
    for (const magic of [
      [0x50, 0x4b, 3, 4, 0, 0, 8, 8, 0, 0],
      [0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9],
    ]) {
      const dir = writeAdapter(join(await temporaryFolder(), 'a'), tinyLora())
      writeFileSync(join(dir, 'adapter_model.safetensors'), Uint8Array.from([...magic, ...new Uint8Array(100)]))
      expectRefusal(() => inspectAdapter(dir), 'pickle_refused', 'torch.load')
    }
    const innocent = withHeader(`{}${' '.repeat(0x0280 - 2)}`)
    expect([...innocent.subarray(0, 2)]).toEqual([0x80, 2])
    expect(looksPickled(innocent)).toBe(false)
  })

  it('a configuration of the other format, of none, or broken is refused', async () => {
    const dir = writeAdapter(join(await temporaryFolder(), 'a'), tinyLora())
    const config = join(dir, 'adapter_config.json')
    writeFileSync(config, JSON.stringify(tinyBottleneck().config))
    expectRefusal(() => inspectAdapter(dir), 'invalid_adapter', 'adapter.safetensors')
    writeFileSync(config, '{}')
    expectRefusal(() => inspectAdapter(dir), 'invalid_adapter', 'peft_type')
    writeFileSync(config, '{"peft_type": LORA}')
    expectRefusal(() => inspectAdapter(dir), 'invalid_adapter', 'adapter_config.json is not valid JSON')
  })

  it('lies among whatever a trainer left there', async () => {
    const dir = writeAdapter(join(await temporaryFolder(), 'a'), tinyLora())
    mkdirSync(join(dir, 'checkpoint-500'))
    writeFileSync(join(dir, 'training_args.bin'), 'a pickle')
    expect(inspectAdapter(dir).description.format).toBe('peft')
    expectRefusal(() => inspectAdapter(join(dir, 'nowhere')), 'invalid_adapter', 'nowhere')
  })

  it.each([
    ['a Git LFS pointer', 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n', 'git lfs pull'],
    ['an Xet pointer', '# xet version 0\nfilesize = 9\n', 'download the file itself'],
    ['plain text', 'Entry not found', 'adapter_model.safetensors is plain text, and not safetensors'],
    ['a web page', '<!DOCTYPE html>\n<html><head><title>Sign in', 'download the file again'],
    ['an XML document', '<?xml version="1.0"?><Error><Code>AccessDenied', 'download the file again'],
    ['JSON text', '{"error":"Repository not found"}', 'failed download'],
    ['a GGUF file', 'GGUF\x03\0\0\0\0\0\0\0', 'converted from'],
    ['empty', '', 'save or send it again'],
    ['compressed with gzip', '\x1f\x8b\x08\0\0\0\0\0\0', 'unpack it'],
  ])('weights that are %s are called so', async (what, content, fix) => {
    const dir = writeAdapter(join(await temporaryFolder(), 'a'), tinyLora())
    writeFileSync(join(dir, 'adapter_model.safetensors'), content, 'latin1')
    expectRefusal(() => inspectAdapter(dir), 'invalid_adapter', `adapter_model.safetensors is ${what}`)
    expectRefusal(() => inspectAdapter(dir), 'invalid_adapter', fix)
  })

  it('a configuration may begin with a byte order mark; one in UTF-16, or a pointer, is called so', async () => {
    const dir = writeAdapter(join(await temporaryFolder(), 'a'), tinyLora())
    const config = join(dir, 'adapter_config.json')
    const { digest } = inspectAdapter(dir)
    const text = readFileSync(config, 'utf8')
    writeFileSync(config, `\uFEFF${text}`)
    expect(inspectAdapter(dir).digest).toBe(digest)
    writeFileSync(config, `\uFEFF${text}`, 'utf16le')
    expectRefusal(() => inspectAdapter(dir), 'invalid_adapter', 'save it as UTF-8')
    writeFileSync(config, 'version https://git-lfs.github.com/spec/v1\n')
    expectRefusal(() => inspectAdapter(dir), 'invalid_adapter', 'adapter_config.json is a Git LFS pointer')
  })
})
