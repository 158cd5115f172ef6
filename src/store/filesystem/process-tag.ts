import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'

const HOST = hostname().replace(/[^A-Za-z0-9.-]/g, '-')
const START = randomBytes(4).toString('hex')
const DAY_MS = 86_400_000

/** A unique name that says which process made the thing: `host~pid~start~random`. */
export function newTag(): string {
  return [HOST, process.pid, START, randomBytes(6).toString('hex')].join('~')
}

/**
 * Whether the process behind a tag is gone, so that its leftovers may be removed. A process on another host cannot be asked:
 * its things are left alone until they are `foreignAgeMs` old. What carries no tag is nobody's.
 */
export function isStale(tag: string, ageMs: number, foreignAgeMs = DAY_MS): boolean {
  const [host, pid, start, random] = tag.split('~')
  if (!host || !pid || !start || !random || !/^[1-9][0-9]*$/.test(pid)) return true
  if (host !== HOST) return ageMs > foreignAgeMs
  // In a container every server may be process 1: the start token tells this run from the one before.
  if (Number(pid) === process.pid) return start !== START
  return !isAlive(Number(pid)) || ageMs > DAY_MS
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
