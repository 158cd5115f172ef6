import { execFileSync } from 'node:child_process'
import { chmodSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** A user without rights: on most systems `nobody`. */
const NOBODY = 65_534

/**
 * Runs `job` as a user who is bound by file modes, which the superuser is not. What must stay reachable under `open` is made so
 * before; `closed` gets `mode`, and its old mode back afterwards.
 */
export async function withoutPermission<T>(
  open: string,
  closed: string,
  mode: number,
  job: () => Promise<T>,
): Promise<T> {
  openToAll(open)
  const before = statSync(closed).mode
  chmodSync(closed, mode)
  const superuser = process.geteuid?.() === 0
  if (superuser) process.seteuid?.(NOBODY)
  try {
    return await job()
  } finally {
    if (superuser) process.seteuid?.(0)
    chmodSync(closed, before)
  }
}

function openToAll(dir: string): void {
  chmodSync(dir, 0o777)
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name)
    if (entry.isDirectory()) openToAll(path)
    else chmodSync(path, 0o666)
  }
}

/** Mounts a disk of its own at `dir`. False where the system does not allow that. */
export function mountSmallDisk(dir: string, bytes: number): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'troupe-chaos', dir], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

export function unmount(dir: string): void {
  execFileSync('umount', ['--lazy', dir], { stdio: 'ignore' })
}
