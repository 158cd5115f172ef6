import type { Static } from 'typebox'
import type { ModelInfo } from '../../core/model-info.ts'
import type { Lease, ResolvedAdapter } from '../../registry/records.ts'
import type { ProvenanceSchema, UsageSchema } from '../schemas/answer.ts'
import { versionName } from './target.ts'

/** Token counts in OpenAI's form. */
export type Usage = Static<typeof UsageSchema>

/** Which weights made an answer, where they came from and what that took. */
export type Provenance = Static<typeof ProvenanceSchema>

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
