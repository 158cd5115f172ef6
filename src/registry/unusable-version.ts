import type { VersionRecord } from './records.ts'

/** A record for files that never became a version: number 0, nothing known but the reason. */
export function unusableVersion(adapter: string, digest: string, reason: string, createdAt: string): VersionRecord {
  return {
    adapter,
    version: 0,
    digest,
    state: 'rejected',
    reason,
    createdAt,
    source: 'folder',
    format: 'peft',
    method: 'lora',
    rank: 0,
    sites: [],
    virtualTokens: 0,
    parameters: 0,
    bytes: 0,
    deviceBytes: 0,
    probe: null,
  }
}
