import type { Dirent } from 'node:fs'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'

/** By what one sees that a file or folder changed. */
export interface Mark {
  readonly mtimeMs: number
  readonly size: number
  readonly ino: number
}

/** The three things a listing asks of a disk. */
export interface Disk {
  stat(path: string): Mark | Promise<Mark>
  entries(path: string): Dirent[] | Promise<Dirent[]>
  text(path: string): string | Promise<string>
}

/**
 * A change within this time of a look may leave the modification time as it was (its clock ticks in milliseconds, on some disks
 * in seconds): what such a look found is not trusted again.
 */
export const SETTLED_MS = 2_000

export function sameMark(a: Mark | null, b: Mark | null): boolean {
  return a === null || b === null ? a === b : a.mtimeMs === b.mtimeMs && a.size === b.size && a.ino === b.ino
}

/** For a server that runs: requests go on while the disk works. */
export const waitingDisk: Disk = {
  stat: (path) => stat(path),
  entries: (path) => readdir(path, { withFileTypes: true }),
  text: (path) => readFile(path, 'utf8'),
}

/** For the first listing, before anything is served: several times quicker, as no call goes through another thread. */
export const blockingDisk: Disk = {
  stat: (path) => statSync(path),
  entries: (path) => readdirSync(path, { withFileTypes: true }),
  text: (path) => readFileSync(path, 'utf8'),
}
