import { describe, expect, it } from 'vitest'
import { commonFolder, reportFolder } from '../../src/intake/folder-report.ts'
import { expectRefusal } from '../support/refusal.ts'

const OWN = ['adapter_config.json', 'adapter_model.safetensors']
const entries = (paths: readonly string[]): { path: string; bytes: number }[] =>
  paths.map((path) => ({ path, bytes: path.length }))

/** Folders as the trainers leave them, by their own documentation and code. */
const FOLDERS: Readonly<Record<string, readonly string[]>> = {
  'transformers and TRL': [
    ...OWN,
    'README.md',
    'tokenizer.json',
    'tokenizer_config.json',
    'special_tokens_map.json',
    'added_tokens.json',
    'chat_template.jinja',
    'training_args.bin',
    'runs/Nov30_22-00-00_host/events.out.tfevents.1',
    'checkpoint-500/adapter_config.json',
    'checkpoint-500/adapter_model.safetensors',
    'checkpoint-500/optimizer.pt',
    'checkpoint-500/scheduler.pt',
    'checkpoint-500/rng_state.pth',
    'checkpoint-500/trainer_state.json',
    'checkpoint-500/training_args.bin',
  ],
  'a checkpoint of theirs': [
    ...OWN,
    'optimizer.pt',
    'scheduler.pt',
    'rng_state_0.pth',
    'trainer_state.json',
    'scaler.pt',
    'training_args.bin',
  ],
  Unsloth: [
    ...OWN,
    'README.md',
    'chat_template.jinja',
    'special_tokens_map.json',
    'tokenizer.json',
    'tokenizer.model',
    'tokenizer_config.json',
  ],
  'LLaMA-Factory': [
    ...OWN,
    'README.md',
    'added_tokens.json',
    'all_results.json',
    'chat_template.jinja',
    'eval_results.json',
    'merges.txt',
    'special_tokens_map.json',
    'tokenizer.json',
    'tokenizer_config.json',
    'train_results.json',
    'trainer_log.jsonl',
    'trainer_state.json',
    'training_args.bin',
    'training_eval_loss.png',
    'training_loss.png',
    'vocab.json',
  ],
  axolotl: [
    ...OWN,
    'README.md',
    'config.json',
    'debug.log',
    'special_tokens_map.json',
    'tokenizer.json',
    'tokenizer_config.json',
    'checkpoint-12/adapter_model.safetensors',
  ],
  DeepSpeed: [...OWN, 'latest', 'zero_to_fp32.py', 'global_step100/mp_rank_00_model_states.pt', 'rng_state_1.pth'],
  'both kinds of weights': [...OWN, 'adapter_model.bin'],
  'an Apple computer': [...OWN, '.DS_Store', '__MACOSX/._adapter_config.json', '._adapter_config.json'],
}

describe('a trainer’s folder', () => {
  it.each(Object.entries(FOLDERS))(
    '%s: the two files are taken, every other is named with a reason',
    (_name, paths) => {
      const { format, took, ignored, warnings } = reportFolder(entries(paths))
      expect([format, took.map(({ file }) => file), warnings]).toEqual(['peft', OWN, []])
      const named = ignored.map(({ file }) => file)
      for (const path of paths) {
        const [first] = path.split('/') as [string]
        const name = path.includes('/') ? `${first}/` : path
        const expected = !OWN.includes(path) && !/^(__MACOSX\/|\.DS_Store|\._)/.test(path)
        expect([path, named.includes(name)]).toEqual([path, expected])
      }
      expect(ignored.filter(({ reason }) => reason === 'no part of an adapter')).toEqual([])
    },
  )

  it('takes MLX’s file, unless PEFT’s lies beside it', () => {
    const files = ['adapter_config.json', 'adapters.safetensors', '0000100_adapters.safetensors']
    const { format, took, ignored } = reportFolder(entries(files))
    expect([format, took.map(({ file }) => file)]).toEqual(['mlx', files.slice(0, 2)])
    expect(ignored).toEqual([{ file: files[2], reason: 'weights of an earlier step of the training' }])
    expect(reportFolder(entries([...files, OWN[1]!])).format).toBe('peft')
  })

  it('takes AdapterHub’s file, and says of an unknown one that it is no part', () => {
    const { format, took, ignored } = reportFolder(
      entries(['adapter_config.json', 'adapter.safetensors', 'adapter_interface.json', 'secret.txt']),
    )
    expect([format, took.length, ignored.length]).toEqual(['adapterhub', 2, 2])
    expect(ignored[1]).toEqual({ file: 'secret.txt', reason: 'no part of an adapter' })
  })

  it('keeps the list short', () => {
    const many = Array.from({ length: 500 }, (_, i) => `extra-${i}`)
    const { ignored } = reportFolder(entries([...OWN, ...many]))
    expect([ignored.length, ignored.at(-1)]).toEqual([101, { file: '…', reason: '400 more files and folders' }])
  })
})

describe('a folder that is no adapter', () => {
  it.each([
    [
      ['config.json', 'checkpoint-500/adapter_config.json'],
      'invalid_adapter',
      'checkpoint-500/ in it holds an adapter',
    ],
    [['adapter_config.json', 'adapter_model.bin'], 'pickle_refused', "'adapter_model.safetensors', {'format': 'pt'})"],
    [['adapter_config.json', 'pytorch_adapter.bin'], 'pickle_refused', "'adapter.safetensors', {'format': 'pt'})"],
    [['adapter_config.json', 'training_args.bin', 'optimizer.pt'], 'invalid_adapter', 'the weights are missing'],
    [['adapters.npz', 'adapter_config.json'], 'unsupported_adapter', 'an old release of MLX'],
    [['adapter_config.json', 'lora-f16.gguf'], 'unsupported_adapter', 'PEFT folder that it was converted from'],
    [['config.json', 'model.safetensors', 'tokenizer.json'], 'unsupported_adapter', '--model'],
    [['config.json', 'model-00001-of-00002.safetensors'], 'unsupported_adapter', 'whole model'],
    [['adapter_config.json', 'adapter_model-00001-of-00002.safetensors'], 'invalid_adapter', 'save it as one file'],
    [['adapter_config.json', 'my-lora.safetensors'], 'invalid_adapter', 'rename it'],
    [['adapter_model.safetensors', 'tokenizer.json'], 'invalid_adapter', 'adapter_config.json is missing'],
    [[...OWN, 'adapter.safetensors'], 'invalid_adapter', 'one adapter at a time'],
    [['adapter_config.json', 'adapter.safetensors', 'head_config.json'], 'unsupported_adapter', 'with_head=False'],
    [['notes.txt'], 'invalid_adapter', 'adapter_config.json and the weights are missing'],
    [[], 'invalid_adapter', 'adapter_config.json and the weights are missing'],
  ] as const)('%j: %s', (paths, code, text) => {
    expectRefusal(() => reportFolder(entries(paths)), code, text)
  })
})

describe('the folder that all files are in', () => {
  it.each([
    [['out/a', 'out/b/c'], 'out/'],
    [['out/x/a', 'out/x/b'], 'out/x/'],
    [['a', 'out/b'], ''],
    [['checkpoint-5/a', 'checkpoint-5/b'], 'checkpoint-5/'],
    // Whoever sends the folder around a checkpoint has not chosen the checkpoint.
    [['out/checkpoint-5/a', 'out/checkpoint-5/b'], 'out/'],
    [['out/a', '__MACOSX/out/._a'], 'out/'],
    [[], ''],
  ])('%j: %j', (paths, folder) => expect(commonFolder(entries(paths))).toBe(folder))
})
