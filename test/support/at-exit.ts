import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What this process must not leave behind when it ends early, by `process.exit()` or an error. A signal ends it so only where it is handled. */
const children = new Set<ChildProcess>()
const folders = new Set<string>()
/** A process that was just killed may still write for a moment. */
const REMOVAL_TRIES = 5

process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  for (const dir of folders) rmSync(dir, { recursive: true, force: true, maxRetries: REMOVAL_TRIES })
})

/** Lets a process live no longer than this one. */
export function endAtExit<T extends ChildProcess>(child: T): T {
  children.add(child)
  child.once('exit', () => children.delete(child))
  return child
}

/** A new temporary folder that is there no longer than this process. */
export function scratchFolder(prefix: string): string {
  const dir = mkdtempSync(join(tmpdir(), prefix))
  folders.add(dir)
  return dir
}
