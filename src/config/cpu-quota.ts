import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'

/** Where the kernel describes control groups; another folder in tests. */
export interface CgroupFiles {
  /** `/proc/self/cgroup` */
  readonly membership: string
  /** `/sys/fs/cgroup` */
  readonly root: string
}

const KERNEL: CgroupFiles = { membership: '/proc/self/cgroup', root: '/sys/fs/cgroup' }

/**
 * CPUs this process may use on average by the quotas of its control groups, its own and all above it, such as 0.5 in a container with
 * `--cpus 0.5`; null without a quota. Version 2 keeps it in `cpu.max`, version 1 in `cpu.cfs_quota_us` and `cpu.cfs_period_us`.
 */
export function cpuQuota(files: CgroupFiles = KERNEL): number | null {
  const quotas = groupFolders(files).flatMap((folder) => quotaOf(folder) ?? [])
  return quotas.length === 0 ? null : Math.min(...quotas)
}

/**
 * Threads of one call of the engine: the setting, or what the quota allows where that is less than the machine's CPUs.
 * 0 = the engine takes the physical cores. More threads than the quota pays for wait for each other in the middle of a call.
 */
export function engineThreads(setting: number, quota = cpuQuota(), cpus = availableParallelism()): number {
  if (setting > 0 || quota === null || quota >= cpus) return setting
  return Math.max(1, Math.floor(quota))
}

/** The folders that can hold a quota for this process, its own first. */
function groupFolders({ membership, root }: CgroupFiles): readonly string[] {
  const lines = (readOrNull(membership) ?? '').split('\n').map((line) => /^\d+:([^:]*):(\/.*)$/.exec(line))
  return lines.flatMap((parts) => {
    if (!parts) return []
    const [, controllers = '', path = '/'] = parts
    if (controllers === '') return ancestors(root, path)
    if (!controllers.split(',').includes('cpu')) return []
    return ['cpu', controllers].flatMap((mount) => ancestors(join(root, mount), path))
  })
}

/** `/a/b` → `root/a/b`, `root/a`, `root`. A container may see its own group as the root although the path says otherwise. */
function ancestors(root: string, path: string): readonly string[] {
  const parts = path.split('/').filter((part) => part !== '' && part !== '..')
  return Array.from({ length: parts.length + 1 }, (_, up) => join(root, ...parts.slice(0, parts.length - up)))
}

function quotaOf(folder: string): number | null {
  const v2 = readOrNull(join(folder, 'cpu.max'))
  const [quota, period] =
    v2 === null
      ? [readOrNull(join(folder, 'cpu.cfs_quota_us')), readOrNull(join(folder, 'cpu.cfs_period_us'))]
      : v2.trim().split(' ')
  const share = Number(quota) / Number(period)
  // `max` in version 2 and -1 in version 1 mean that there is none.
  return Number.isFinite(share) && share > 0 ? share : null
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}
