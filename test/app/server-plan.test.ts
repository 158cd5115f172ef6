import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { ServerPlan } from '../../src/app/server-plan.ts'
import { checkServerPlan, planServer } from '../../src/app/server-plan.ts'
import { completeSettings } from '../../src/config/load.ts'
import type { Settings } from '../../src/config/schema.ts'
import { planDisk } from '../../src/model/disk-plan.ts'
import { prepareModel } from '../../src/model/prepare.ts'
import { UNFINISHED, WEIGHTS_FILE, folderName } from '../../src/model/prepared.ts'
import { modelDir } from '../support/fixtures.ts'
import { temporaryFolder } from '../support/model-folder.ts'
import { expectRefusal, expectRefusalAsync } from '../support/refusal.ts'

const GIB = 2 ** 30

async function settingsOf(changes: Partial<Settings> = {}): Promise<Settings> {
  const cacheDir = join(await temporaryFolder(), 'cache')
  return completeSettings({ model: modelDir('llama'), precision: 'f32', cacheDir, ...changes })
}

/** Bytes of the plan's lines. */
function bytesOf({ memory }: ServerPlan): Record<string, number> {
  return Object.fromEntries(memory.lines.map(({ what, bytes }) => [what, bytes]))
}

describe('the plan of a server', () => {
  it('knows what will be held, from headers and settings', async () => {
    const settings = await settingsOf({ kvBytes: GIB, memoryBytes: 2 * GIB, maxBatch: 3, maxContext: 100 })
    const plan = await planServer(settings, 8 * GIB)
    const prepared = await prepareModel({ modelDir: settings.model, precision: 'f32', cacheDir: settings.cacheDir! })
    const weights = Object.values(prepared.manifest.tensors).reduce(
      (end, { offset, bytes }) => Math.max(end, offset + bytes),
      0,
    )
    expect(plan).toMatchObject({ precision: 'f32', maxContext: 100, kv: { format: 'f32', pages: 3 * 7 } })
    expect(bytesOf(plan)).toMatchObject({ weights, adapters: 2 * GIB })
    expect(plan.disk.bytes).toBe(weights)
    expect(checkServerPlan(plan)).toEqual([])
    expect((await planServer(settings, 8 * GIB)).disk).toMatchObject({ bytes: 0, maybePrepared: true })
  })

  it('needs more for wider steps, and for the comparison with merged weights', async () => {
    const working = async (changes: Partial<Settings>): Promise<number> =>
      bytesOf(await planServer(await settingsOf(changes), 8 * GIB)).working!
    const least = await working({ mergedProbe: 'off', stepTokens: 64 })
    expect(await working({ mergedProbe: 'off', stepTokens: 512 })).toBeGreaterThan(least)
    expect(await working({ mergedProbe: 'on', stepTokens: 64 })).toBeGreaterThan(least)
  })

  it.each(['kvBytes', 'memoryBytes'] as const)('refuses %s beyond the machine', async (setting) => {
    const settings = await settingsOf({ kvBytes: GIB, memoryBytes: GIB, [setting]: 9 * GIB })
    await expectRefusalAsync(() => planServer(settings, 8 * GIB), 'invalid_config', `${setting} is 9 GiB`)
  })

  it('refuses pages that hold less than one sequence', async () => {
    const settings = await settingsOf({ kvBytes: 4096, memoryBytes: GIB })
    await expectRefusalAsync(() => planServer(settings, 8 * GIB), 'invalid_config', 'raise kvBytes or lower maxContext')
  })

  it('refuses what the disk does not hold, and warns of a cache that it may not', async () => {
    const plan = await planServer(await settingsOf({ kvBytes: GIB, memoryBytes: GIB }), 8 * GIB)
    const full = { ...plan, disk: { ...plan.disk, bytes: 3 * GIB, free: 2 * GIB } }
    expectRefusal(() => checkServerPlan(full), 'storage_error', 'needs 3 GiB of disk')
    // It may be there already: which model this is takes reading all of it.
    expect(checkServerPlan({ ...full, disk: { ...full.disk, maybePrepared: true } })).toEqual([])
    const cached = { ...plan, disk: { ...plan.disk, bytes: GIB, free: 4 * GIB }, storeCacheBytes: 16 * GIB }
    expect(checkServerPlan(cached)).toEqual([expect.stringContaining('has 3 GiB free beside the prepared model')])
  })
})

describe('the plan of the disk', () => {
  const key = { fingerprint: `sha256:${'a'.repeat(64)}`, precision: 'int4' } as const

  it('counts what an earlier attempt wrote', async () => {
    const cache = await temporaryFolder()
    const whole = await planDisk(cache, key, 1000)
    const begun = join(cache, UNFINISHED + folderName(key))
    mkdirSync(begun)
    writeFileSync(join(begun, WEIGHTS_FILE), Buffer.alloc(400))
    expect((await planDisk(cache, key, 1000)).bytes).toBe(whole.bytes - 400)
    expect((await planDisk(cache, { ...key, fingerprint: null }, 1000)).bytes).toBe(whole.bytes - 400)
    expect((await planDisk(cache, { ...key, precision: 'int8' }, 1000)).bytes).toBe(whole.bytes)
  })

  it('asks the disk of a folder that is not there yet', async () => {
    const { free } = await planDisk(join(await temporaryFolder(), 'a/b'), key, 1000)
    expect(free).toBeGreaterThan(0)
  })
})
