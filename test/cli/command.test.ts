import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { describeFailure } from '../../src/cli/failure.ts'
import { summariseSites } from '../../src/cli/inspect.ts'
import { checkNode, checkPlatform, checkMemory } from '../../src/cli/doctor-machine.ts'
import { checkModel, checkStore, checkTokenizer } from '../../src/cli/doctor-folders.ts'
import { TroupeError } from '../../src/core/errors.ts'
import { runCommand } from '../support/command.ts'
import { modelDir } from '../support/fixtures.ts'
import { temporaryFolder } from '../support/model-folder.ts'

const ADAPTER = join(modelDir('llama'), '../adapters/lora-r8')

describe('the troupe command', () => {
  it('shows what is in an adapter, for people and as JSON', async () => {
    const people = await runCommand(['adapters', 'inspect', ADAPTER])
    expect(people.stdout).toMatch(/^method +lora$/m)
    expect(people.stdout).toMatch(/^rank +8$/m)
    const json = await runCommand(['adapters', 'inspect', join(ADAPTER, 'adapter_config.json'), '--json'])
    expect(JSON.parse(json.stdout)).toMatchObject({
      method: 'lora',
      rank: 8,
      digest: expect.stringMatching(/^sha256:/) as string,
    })
  })

  it('ends with status 2 and one clear line for wrong input', async () => {
    expect(await runCommand(['serve'], { TROUPE_PORT: 'high' })).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^troupe: port in the environment \(TROUPE_PORT\) must be/) as string,
    })
    expect(await runCommand(['serve', '--prot', '1'])).toMatchObject({ code: 2 })
    expect(await runCommand(['adapters', 'inspect', modelDir('llama')])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^troupe: /) as string,
    })
    expect(await runCommand(['prepare', '--model', '/nowhere'])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^troupe: .*\/nowhere/) as string,
    })
  })

  it('imports an adapter into a store and points a task at it', async () => {
    const store = await temporaryFolder()
    const args = ['--model', modelDir('llama'), '--store', store, '--task', 'try', '--prompt', 'Say: {input}']
    const refused = await runCommand(['adapters', 'import', 'demo', ADAPTER, ...args])
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('--allow-base-mismatch') as string })
    const allowed = [...args, '--allow-base-mismatch']
    const first = await runCommand(['adapters', 'import', 'demo', ADAPTER, ...allowed])
    expect(first).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/demo@v1 stored.*\ntask try created/) as string,
    })
    const again = await runCommand([
      'adapters',
      'import',
      'demo',
      ADAPTER,
      '--model',
      modelDir('llama'),
      '--store',
      store,
      '--allow-base-mismatch',
    ])
    expect(again.stdout).toMatch(/demo@v1 was there already/)
  })
})

describe('doctor', () => {
  it('says how to fix what is wrong', async () => {
    expect(checkNode('20.18.3')).toMatchObject({ ok: false, fix: expect.stringContaining('20.19') as string })
    expect(checkNode('20.19.0').ok && checkNode('24.0.0').ok).toBe(true)
    expect(checkPlatform('sunos-x64').ok).toBe(false)
    expect(checkMemory(2 ** 29).fix).toContain('1 GiB')
    expect(checkModel('/nowhere')).toMatchObject({ ok: false, fix: expect.stringContaining('--model') as string })
    expect(await checkTokenizer(await temporaryFolder())).toMatchObject({ ok: false })
    expect(await checkStore(join(ADAPTER, 'adapter_config.json'))).toMatchObject({
      ok: false,
      fix: expect.stringContaining('--store') as string,
    })
  })

  it('passes a good model and a store that can be made', async () => {
    const dir = await temporaryFolder()
    await mkdir(join(dir, 'store'))
    const stores = [await checkStore(join(dir, 'store')), await checkStore(join(dir, 'a/b'))]
    expect([...stores, checkModel(modelDir('qwen3'))]).toMatchObject([
      { ok: true },
      { ok: true, detail: expect.stringContaining('will be made') as string },
      { ok: true, detail: expect.stringContaining('qwen3') as string },
    ])
    expect(await checkTokenizer(modelDir('qwen2'))).toMatchObject({
      ok: true,
      detail: expect.stringContaining('without') as string,
    })
  })
})

describe('doctor --json', () => {
  it('writes one row per check, and ends with the same status', async () => {
    const file = join(await temporaryFolder(), 'doctor.json')
    const args = ['doctor', '--model', modelDir('llama'), '--store', await temporaryFolder()]
    const good = await runCommand([...args, '--json', file], { TROUPE_KEY: 'sk-acme-0123456789' })
    expect(good).toMatchObject({ code: 0, stdout: expect.stringMatching(/^ok +model/m) as string })
    const { command, rows } = JSON.parse(await readFile(file, 'utf8')) as {
      command: string
      rows: { name: string; unit: string }[]
    }
    expect(command).toBe('troupe doctor')
    expect(rows.map(({ name }) => name)).toEqual(expect.arrayContaining(['node', 'cpu', 'store', 'model']))
    for (const row of rows.filter(({ unit }) => unit === 'ok'))
      expect(row).toMatchObject({ value: 1, target: '= 1', met: true })
    const total = rows.find(({ name }) => name === 'memory plan: total')
    expect(total).toMatchObject({ unit: 'bytes', met: true, target: expect.stringMatching(/^<= \d+$/) as string })

    const bad = await runCommand(['doctor', '--model', '/nowhere', '--keys', '/nowhere/keys', '--json'])
    expect(bad.code).toBe(1)
    const found = (JSON.parse(bad.stdout) as { rows: { name: string; met: boolean; note: string }[] }).rows
    expect(found.filter(({ met }) => !met).map(({ name }) => name)).toEqual(['keys', 'model', 'tokenizer'])
    expect(found.find(({ name }) => name === 'model')?.note).toContain('fix: give the folder')
  })

  it('plans with all settings of a server, and says which would fit', async () => {
    const args = ['doctor', '--model', modelDir('llama'), '--store', await temporaryFolder()]
    const huge = await runCommand([...args, '--memory-bytes', '100TiB'])
    expect(huge).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/FAIL memory plan +memoryBytes is 100 TiB, and this process may use/) as string,
    })
    const small = await runCommand([...args, '--kv-bytes', '1000', '--max-context', '100'])
    expect(small.stdout).toMatch(
      /FAIL memory plan +kvBytes is 1000 B .* may have 100 .*raise kvBytes or lower maxContext/,
    )
  })

  it('and serve name what the processor lacks', async () => {
    const folders = ['--model', modelDir('llama'), '--store', await temporaryFolder()]
    const kernels = { TROUPE_KERNELS: 'altivec' }
    const checked = await runCommand(['doctor', ...folders], kernels)
    const named = /TROUPE_KERNELS is 'altivec', but this machine runs: .*plain/
    expect(checked).toMatchObject({ code: 1, stdout: expect.stringMatching(named) as string })
    const served = await runCommand(['serve', ...folders, '--cache-dir', await temporaryFolder()], kernels)
    expect(served).toMatchObject({ code: 2, stderr: expect.stringMatching(named) as string })
    expect(served.stderr).toMatch(/^troupe: .*\n +`troupe doctor` checks addon, processor and memory\n$/)
  })

  it('lists only devices that can be chosen', async () => {
    const { stdout } = await runCommand(['doctor', '--model', modelDir('llama'), '--store', await temporaryFolder()])
    for (const device of ['webgpu', 'cuda', 'webgl']) expect(stdout).not.toContain(device)
  })
})

describe('describeFailure', () => {
  it('shows errors of input without, faults with their stack', () => {
    expect(describeFailure(new TroupeError('invalid_adapter', 'no rank'))).toEqual({
      text: 'troupe: no rank',
      exitCode: 2,
    })
    expect(describeFailure(new Error('boom'))).toMatchObject({
      exitCode: 1,
      text: expect.stringContaining('at ') as string,
    })
  })
})

it('names sites by ranges of layers, and adapters by folder or file', () => {
  expect(summariseSites(['layers.0.q_proj', 'layers.1.q_proj', 'layers.3.q_proj', 'layers.2.mlp_out'])).toBe(
    'layers.0-1,3.q_proj, layers.2.mlp_out',
  )
})
