import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { recogniseFiles } from '../../src/adapters/files.ts'
import { looksPickled } from '../../src/adapters/pickle.ts'
import { inspectAdapter } from '../../src/adapters/read.ts'
import { temporaryFolder } from '../support/model-folder.ts'
import { expectRefusal } from '../support/refusal.ts'
import { withHeader } from '../support/safetensors-writer.ts'
import { tinyBottleneck, tinyLora, writeAdapter } from '../support/tiny-adapters.ts'

describe('an adapter is recognised by its files', () => {
  it('PEFT and AdapterHub, with what usually lies beside them', () => {
    const peft = ['README.md', 'adapter_config.json', 'adapter_model.safetensors']
    expect(recogniseFiles(peft)).toEqual({ format: 'peft', weights: 'adapter_model.safetensors' })
    const hub = ['adapter.safetensors', 'adapter_config.json', 'adapter_interface.json']
    expect(recogniseFiles(hub)).toEqual({ format: 'adapterhub', weights: 'adapter.safetensors' })
  })

  it.each([
    [['adapter_config.json', 'adapter_model.bin'], 'pickle_refused', "'adapter_model.safetensors')"],
    [['adapter_config.json', 'pytorch_adapter.bin'], 'pickle_refused', "'adapter.safetensors')"],
    [['adapter_config.json', 'adapter_model.safetensors', 'training_args.bin'], 'pickle_refused', 'training_args.bin'],
    [['adapter_config.json', 'adapter.safetensors', 'head_config.json'], 'unsupported_adapter', 'with_head=False'],
    [['adapter_model.safetensors'], 'invalid_adapter', 'adapter_config.json is missing'],
    [['adapter_config.json'], 'invalid_adapter', 'adapter_model.safetensors (PEFT)'],
    [['adapter_config.json', 'adapter_model.safetensors', 'adapter.safetensors'], 'invalid_adapter', 'both'],
    [['adapter_config.json', 'adapter_model.safetensors', 'tokenizer.json'], 'invalid_adapter', 'tokenizer.json'],
    [[], 'invalid_adapter', 'adapter_config.json'],
  ] as const)('%j is refused as %s', (names, code, text) => {
    expectRefusal(() => recogniseFiles(names), code, text)
  })

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

  it('folders are refused like files, a missing folder by name', async () => {
    const dir = writeAdapter(join(await temporaryFolder(), 'a'), tinyLora())
    mkdirSync(join(dir, 'checkpoint-500'))
    expectRefusal(() => inspectAdapter(dir), 'invalid_adapter', 'checkpoint-500')
    expectRefusal(() => inspectAdapter(join(dir, 'nowhere')), 'invalid_adapter', 'nowhere')
  })
})
