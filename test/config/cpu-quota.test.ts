import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { cpuQuota, engineThreads } from '../../src/config/cpu-quota.ts'
import type { CgroupFiles } from '../../src/config/cpu-quota.ts'
import { temporaryFolder } from '../support/model-folder.ts'

/** A kernel that says this about control groups. */
async function kernel(membership: string, files: Readonly<Record<string, string>>): Promise<CgroupFiles> {
  const dir = await temporaryFolder()
  await writeFile(join(dir, 'membership'), membership)
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir, 'sys', path)), { recursive: true })
    await writeFile(join(dir, 'sys', path), text)
  }
  return { membership: join(dir, 'membership'), root: join(dir, 'sys') }
}

describe('cpuQuota', () => {
  it.each([
    ['version 2 in a container', '0::/\n', { 'cpu.max': '50000 100000\n' }, 0.5],
    ['version 2 without a quota', '0::/\n', { 'cpu.max': 'max 100000\n' }, null],
    ['a group above it', '0::/pod/box\n', { 'pod/box/cpu.max': 'max 100000', 'pod/cpu.max': '150000 100000' }, 1.5],
    ['a path that the container does not see', '0::/kube/pod/box\n', { 'cpu.max': '200000 100000' }, 2],
    [
      'version 1',
      '4:memory:/box\n3:cpu,cpuacct:/box\n',
      { 'cpu,cpuacct/box/cpu.cfs_quota_us': '300000', 'cpu,cpuacct/box/cpu.cfs_period_us': '100000' },
      3,
    ],
    [
      'version 1 without a quota',
      '3:cpu,cpuacct:/\n',
      { 'cpu/cpu.cfs_quota_us': '-1', 'cpu/cpu.cfs_period_us': '100000' },
      null,
    ],
    ['no control groups', '', {}, null],
    ['a file that says nonsense', '0::/\n', { 'cpu.max': 'a lot' }, null],
  ])('reads %s', async (_what, membership, files, quota) => {
    expect(cpuQuota(await kernel(membership, files))).toBe(quota)
  })

  it('is null where the kernel has no such files', () => {
    expect(cpuQuota({ membership: '/nowhere/cgroup', root: '/nowhere' })).toBe(null)
  })
})

describe('engineThreads', () => {
  it.each([
    ['a quota below the machine', 0, 2.5, 8, 2],
    ['less than one CPU', 0, 0.5, 8, 1],
    ['a quota that allows all', 0, 8, 8, 0],
    ['no quota', 0, null, 8, 0],
    ['a setting, whatever the quota', 6, 0.5, 8, 6],
  ])('follows %s', (_what, setting, quota, cpus, threads) => {
    expect(engineThreads(setting, quota, cpus)).toBe(threads)
  })
})
