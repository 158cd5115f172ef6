import { existsSync } from 'node:fs'
import { readdir, stat, statfs } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { formatByteSize } from '../config/byte-size.ts'
import { TroupeError } from '../core/errors.ts'
import { MANIFEST_FILE, UNFINISHED, WEIGHTS_FILE, folderName } from './prepared.ts'
import type { PreparedKey } from './prepared.ts'

/** Disk that stays free. */
const SPARE_BYTES = 64 * 2 ** 20

/** What preparing a model takes of the disk. */
export interface DiskPlan {
  /** Folder of prepared models. */
  readonly folder: string
  /** Still to be written there; 0 where the model is prepared. */
  readonly bytes: number
  readonly free: number
  /** Whether it may be prepared already: which model this is takes reading all of it. */
  readonly maybePrepared: boolean
}

/** @param key without fingerprint where it is not known yet */
export async function planDisk(
  folder: string,
  key: Omit<PreparedKey, 'fingerprint'> & { readonly fingerprint: string | null },
  weightBytes: number,
): Promise<DiskPlan> {
  const names = await readdir(folder).catch(() => [])
  const { fingerprint } = key
  const isOfModel = (name: string): boolean =>
    fingerprint === null
      ? name.endsWith(folderName({ ...key, fingerprint: '' }))
      : name === folderName({ ...key, fingerprint })
  const whole = names.filter((name) => isOfModel(name) && existsSync(join(folder, name, MANIFEST_FILE)))
  const sizes = await Promise.all(whole.map(async (name) => sizeOf(join(folder, name))))
  const prepared = sizes.includes(weightBytes)
  const begun = names.filter((name) => name.startsWith(UNFINISHED) && isOfModel(name.slice(UNFINISHED.length)))
  const written = Math.max(0, ...(await Promise.all(begun.map(async (name) => sizeOf(join(folder, name))))))
  const { bavail, bsize } = await statfs(existing(folder))
  return {
    folder,
    bytes: prepared && fingerprint !== null ? 0 : Math.max(0, weightBytes - written),
    free: bavail * bsize,
    maybePrepared: prepared,
  }
}

/** @throws TroupeError `storage_error` when the disk has not enough room for certain */
export function checkDisk({ folder, bytes, free, maybePrepared }: DiskPlan): void {
  if (bytes === 0 || bytes + SPARE_BYTES <= free || maybePrepared) return
  throw new TroupeError(
    'storage_error',
    `the prepared model needs ${formatByteSize(bytes)} of disk in ${folder}, which has ${formatByteSize(free)} free; ` +
      'free some, or choose another folder with `cacheDir`',
    { param: 'cacheDir' },
  )
}

async function sizeOf(folder: string): Promise<number> {
  return (await stat(join(folder, WEIGHTS_FILE)).catch(() => null))?.size ?? 0
}

/** The folder itself or, where it is not there yet, the one that it will be made in. */
function existing(folder: string): string {
  let path = resolve(folder)
  while (!existsSync(path)) path = dirname(path)
  return path
}
