import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import type { Headers } from 'tar-stream'
import { pack } from 'tar-stream'
import { describe, expect, it } from 'vitest'
import { openArchive } from '../../src/intake/archive.ts'
import { openSource, takeFiles } from '../../src/intake/take-files.ts'
import { temporaryFolder } from '../support/model-folder.ts'
import { expectRefusalAsync } from '../support/refusal.ts'
import type { ZipFile } from '../support/zip-writer.ts'
import { zipOf } from '../support/zip-writer.ts'

const LIMIT = 1 << 26
const FILES: Readonly<Record<string, string>> = {
  'out/adapter_config.json': '{"peft_type":"LORA"}',
  'out/adapter_model.safetensors': 'weights',
  'out/training_args.bin': 'pickle',
  'out/checkpoint-500/adapter_config.json': '{"peft_type":"OTHER"}',
}

async function tarOf(entries: readonly (Headers & { content?: Uint8Array | string })[]): Promise<Buffer> {
  const packing = pack()
  for (const { content = '', ...header } of entries) packing.entry(header, Buffer.from(content))
  packing.finalize()
  return buffer(packing)
}

async function written(name: string, bytes: Uint8Array): Promise<string> {
  const path = join(await temporaryFolder(), name)
  writeFileSync(path, bytes)
  return path
}

const asTar = async (): Promise<Buffer> => tarOf(Object.entries(FILES).map(([name, content]) => ({ name, content })))
const asZip = async (): Promise<Buffer> =>
  zipOf(Object.entries(FILES).map(([name, content]) => ({ name, content: Buffer.from(content) })))

/** As the system's own program packs it, with entries for folders. */
async function bySystemTar(): Promise<Buffer> {
  const dir = await temporaryFolder()
  mkdirSync(join(dir, 'out/checkpoint-500'), { recursive: true })
  for (const [name, content] of Object.entries(FILES)) writeFileSync(join(dir, name), content)
  return execFileSync('tar', ['-czf', '-', '-C', dir, 'out'])
}

describe('an archive of a folder', () => {
  it.each([
    ['out.tar', asTar],
    ['out.tar.gz', async () => gzipSync(await asTar())],
    ['out.zip', asZip],
    ['out.tgz', bySystemTar],
    // The name does not matter.
    ['download', asZip],
  ])('%s is taken as the folder would be', async (name, bytes) => {
    const dir = await temporaryFolder()
    const report = await takeFiles(await openSource(await written(name, await bytes()), LIMIT), dir)
    expect(report.took).toEqual([
      { file: 'adapter_config.json', bytes: 20 },
      { file: 'adapter_model.safetensors', bytes: 7 },
    ])
    expect(report.ignored.map(({ file }) => file)).toEqual(['checkpoint-500/', 'training_args.bin'])
    expect(readdirSync(dir).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors'])
    expect(readFileSync(join(dir, 'adapter_config.json'), 'utf8')).toBe(FILES['out/adapter_config.json'])
    expect(readFileSync(join(dir, 'adapter_model.safetensors'), 'utf8')).toBe('weights')
  })
})

describe('an archive is refused', () => {
  const file = (name: string): ZipFile => ({ name, content: Buffer.from('x') })

  it.each([
    ['a link', [{ name: 'adapter_config.json', type: 'symlink', linkname: '/etc/passwd' }], 'has a link'],
    ['a hard link', [{ name: 'adapter_config.json', type: 'link', linkname: '../../secret' }], 'has a link'],
    ['a device', [{ name: 'null', type: 'character-device' }], 'neither file nor folder'],
    ['a path outside', [{ name: '../adapter_config.json', content: '{}' }], 'leads outside'],
    ['a path outside, further in', [{ name: 'out/../../x', content: '{}' }], 'leads outside'],
    ['an absolute path', [{ name: '/etc/cron.d/x', content: '{}' }], 'leads outside'],
    ['a path of Windows', [{ name: 'C:\\x', content: '{}' }], 'leads outside'],
    [
      'the same file twice',
      [
        { name: 'a', content: '1' },
        { name: './a', content: '2' },
      ],
      'twice',
    ],
    ['no files', [{ name: 'out/', type: 'directory' }], 'has no files'],
    ['too many entries', Array.from({ length: 10_001 }, (_, i) => ({ name: `f${i}` })), 'more than 10000 entries'],
  ] as const)('tar with %s', async (_name, entries, text) => {
    const path = await written('x.tar', await tarOf(entries))
    await expectRefusalAsync(() => openArchive(path, LIMIT), 'invalid_adapter', text)
  })

  it.each([
    ['a link', [{ ...file('adapter_config.json'), mode: 0o120777 }], 'has a link'],
    ['a path outside', [file('../adapter_config.json')], 'invalid relative path'],
    ['an absolute path', [file('/etc/x')], 'absolute path'],
    ['the same file twice', [file('a'), file('a')], 'twice'],
  ] as const)('zip with %s', async (_name, files, text) => {
    const path = await written('x.zip', zipOf(files))
    await expectRefusalAsync(() => openArchive(path, LIMIT), 'invalid_adapter', text)
  })

  it('that unpacks to more than is allowed, whatever it claims', async () => {
    const zeros = Buffer.alloc(40 << 20)
    const tar = await tarOf([{ name: 'adapter_model.safetensors', content: zeros }])
    const path = await written('x.tgz', gzipSync(tar))
    await expectRefusalAsync(() => openArchive(path, 1 << 28), 'invalid_adapter', 'more than 200 times its size')
    await expectRefusalAsync(() => openArchive(path, 1 << 20), 'upload_too_large', 'x.tgz unpacks to more than')
    const zip = await written('x.zip', zipOf([{ name: 'a', content: zeros }]))
    await expectRefusalAsync(() => openArchive(zip, 1 << 28), 'invalid_adapter', 'more than 200 times its size')
    const files = [
      { name: 'adapter_config.json', content: Buffer.from('{}') },
      { name: 'adapter_model.safetensors', content: zeros, claimedBytes: 10 },
    ]
    const lying = await openArchive(await written('x.zip', zipOf(files)), 1 << 28)
    const dir = await temporaryFolder()
    await expectRefusalAsync(() => takeFiles(lying, dir), 'invalid_adapter', 'cannot be unpacked: too many bytes')
  })

  it.each([
    ['cut tar.gz', 'x.tgz', async () => gzipSync(await asTar()).subarray(0, 200)],
    ['cut tar', 'x.tar', async () => (await asTar()).subarray(0, 2_000)],
    ['cut zip', 'x.zip', async () => (await asZip()).subarray(0, 300)],
    ['gzip of something else', 'x.gz', async () => gzipSync(Buffer.alloc(5_000, 'no tar'))],
  ])('%s', async (_name, name, bytes) => {
    const path = await written(name, await bytes())
    await expectRefusalAsync(() => openArchive(path, LIMIT), 'invalid_adapter', 'cannot be unpacked')
  })

  it.each([
    ['xz', Buffer.from('\xfd7zXZ\0', 'latin1')],
    ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd])],
    ['bzip2', Buffer.from('BZh91AY')],
  ])('packed with %s, with what to send instead', async (kind, bytes) => {
    const path = await written(`x.${kind}`, bytes)
    await expectRefusalAsync(() => openSource(path, LIMIT), 'invalid_adapter', `packed with ${kind}: send a .zip`)
  })
})
