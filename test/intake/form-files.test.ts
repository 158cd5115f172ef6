import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { FolderReport } from '../../src/intake/folder-report.ts'
import { FormFiles } from '../../src/intake/form-files.ts'
import { takeFiles } from '../../src/intake/take-files.ts'
import { temporaryFolder } from '../support/model-folder.ts'
import { expectRefusalAsync } from '../support/refusal.ts'
import { zipOf } from '../support/zip-writer.ts'

async function receive(
  files: readonly (readonly [string, string | Uint8Array])[],
  limit = 1 << 20,
): Promise<{ dir: string; report: FolderReport }> {
  const dir = await temporaryFolder()
  const form = new FormFiles(dir, limit)
  for (const [name, content] of files) await form.add(name, pieces(content))
  const report = await takeFiles(await form.source(), dir)
  await form.clear()
  return { dir, report }
}

async function* pieces(content: string | Uint8Array): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(content)
  yield bytes.subarray(0, 3)
  yield bytes.subarray(3)
}

const OWN = [
  ['adapter_model.safetensors', 'weights'],
  ['adapter_config.json', '{}'],
] as const

describe('files that come in a form', () => {
  it('are taken in any order, with what a trainer left beside them', async () => {
    const { dir, report } = await receive([['optimizer.pt', 'x'], ...OWN, ['training_args.bin', 'y']])
    expect(report.took).toEqual([
      { file: 'adapter_config.json', bytes: 2 },
      { file: 'adapter_model.safetensors', bytes: 7 },
    ])
    expect(report.ignored.map(({ file }) => file)).toEqual(['optimizer.pt', 'training_args.bin'])
    expect(readdirSync(dir).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors'])
    expect(readFileSync(join(dir, 'adapter_model.safetensors'), 'utf8')).toBe('weights')
  })

  it('may have their folders in their names; those of a checkpoint are not mixed up with the adapter’s', async () => {
    const { dir, report } = await receive([
      ['run\\checkpoint-5\\adapter_config.json', '{"inner":1}'],
      ['run\\checkpoint-5\\adapter_model.safetensors', 'inner'],
      ...OWN.map(([name, content]) => [`run/${name}`, content] as const),
    ])
    expect(report.ignored.map(({ file }) => file)).toEqual(['checkpoint-5/'])
    expect(readFileSync(join(dir, 'adapter_model.safetensors'), 'utf8')).toBe('weights')
  })

  it('may be one archive', async () => {
    const zip = zipOf(OWN.map(([name, content]) => ({ name: `a/${name}`, content: Buffer.from(content) })))
    const { dir, report } = await receive([['adapter.zip', zip]])
    expect([report.took.length, readdirSync(dir).length]).toEqual([2, 2])
  })

  it.each([
    ['nothing', [], 'invalid_request', 'has no files'],
    ['a name that leads outside', [['../adapter_config.json', '{}']], 'invalid_request', 'is no file name'],
    ['the same name twice', [OWN[0], OWN[0]], 'invalid_request', 'twice'],
    ['an archive beside other files', [['a.zip', 'x'], ...OWN], 'invalid_request', 'send it alone'],
    ['no archive under such a name', [['a.zip', 'text']], 'invalid_request', 'neither zip nor tar'],
    [
      'more than the limit, in files that are not kept',
      [...OWN, ['optimizer.pt', 'x'.repeat(2_000)]],
      'upload_too_large',
      'optimizer.pt',
    ],
    [
      'two checkpoints and no adapter of its own',
      [
        ['a/adapter_config.json', ''],
        ['b/adapter_config.json', ''],
      ],
      'invalid_adapter',
      'a/, b/ in it hold an adapter',
    ],
  ] as const)('are refused: %s', async (_name, files, code, text) => {
    await expectRefusalAsync(() => receive(files, 1_000), code, text)
  })
})
