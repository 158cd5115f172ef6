import type { Dirent, Stats } from 'node:fs'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'

/** The three things a listing asks of a disk. */
export interface Disk {
  stat(path: string): Stats | Promise<Stats>
  entries(path: string): Dirent[] | Promise<Dirent[]>
  text(path: string): string | Promise<string>
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
