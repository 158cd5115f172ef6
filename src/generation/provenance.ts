import type { Tier } from '../core/generation.ts'
import type { ModelInfo } from '../core/model-info.ts'
import type { Lease, ResolvedAdapter } from '../catalogue/records.ts'
import { versionName } from './target.ts'

/** Token counts in OpenAI's form. */
export interface Usage {
  prompt_tokens: number
  completion_tokens: number
  total_tokens: number
  prompt_tokens_details: { cached_tokens: number }
}

/** Which weights made an answer, where they came from and what that took, as every answer carries it. */
export interface Provenance {
  base: { model: string; fingerprint: string; precision: string }
  adapters: { name: string; version: string; digest: string; scale: number; tier: Tier }[]
  queue_ms: number
  load_ms: number
}

/** Puts a request's provenance together. `hot` = digests the engine had in its bank already. */
export function provenanceOf(
  info: ModelInfo,
  lease: Lease,
  hot: ReadonlySet<string>,
  queueMs: number,
  loadMs: number,
): Provenance {
  return {
    base: { model: info.name, fingerprint: info.fingerprint, precision: info.precision },
    adapters: lease.resolution.adapters.map(({ adapter, version, digest, scale }) => ({
      name: adapter,
      version: versionName(version),
      digest,
      scale,
      tier: hot.has(digest) ? 'hot' : (lease.tiers.get(digest) ?? 'warm'),
    })),
    queue_ms: milliseconds(queueMs),
    load_ms: milliseconds(loadMs),
  }
}

/** Value of the header `x-troupe-adapters`: `name@v3;<first 12 digits of the digest>`, comma-separated. */
export function adaptersHeader(adapters: readonly ResolvedAdapter[]): string {
  return adapters
    .map(
      ({ adapter, version, digest }) =>
        `${adapter}@${versionName(version)};${digest.replace('sha256:', '').slice(0, 12)}`,
    )
    .join(', ')
}

function milliseconds(value: number): number {
  return Math.round(value * 100) / 100
}
