import { readFileSync } from 'node:fs'

/** Resident set of a process, file pages included; Linux only. */
export function residentBytes(pid: number): number {
  return statusBytes(pid, 'VmRSS')
}

/** The part of it that stands in no file; Linux only. */
export function anonymousBytes(pid: number): number {
  return statusBytes(pid, 'RssAnon') + statusBytes(pid, 'RssShmem')
}

function statusBytes(pid: number, field: string): number {
  const line = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(line?.[1]) * 1024
}
