import type { Version } from './version.ts'

const MAX_SHARED = 1_000
const texts = new Map<string, string>()
const siteLists = new Map<string, readonly string[]>()
const bases = new Map<string, Version['base']>()

/**
 * The same version in as little memory as possible: there are thousands, and most have the same few sites, bases and words. Made field by field, as objects
 * made so are the smallest.
 */
export function compact(version: Version): Version {
  const { probe, base, description, labels, warnings, tokens } = version
  const small: Version = {
    adapter: version.adapter,
    version: version.version,
    digest: version.digest,
    blob: version.blob,
    createdAt: version.createdAt,
    createdBy: shared(texts, version.createdBy, version.createdBy),
    source: shared(texts, version.source, version.source) as Version['source'],
    format: shared(texts, version.format, version.format) as Version['format'],
    method: shared(texts, version.method, version.method) as Version['method'],
    rank: version.rank,
    sites: shared(siteLists, version.sites.join(), version.sites),
    virtualTokens: version.virtualTokens,
    parameters: version.parameters,
    bytes: version.bytes,
    deviceBytes: version.deviceBytes,
    probe: probe && { maxDifference: probe.maxDifference, kl: probe.kl },
    base: shared(bases, `${base.fingerprint} ${base.name}`, base),
  }
  if (description === undefined && labels === undefined && (warnings ?? tokens) === undefined) return small
  return {
    ...small,
    ...(description === undefined ? {} : { description }),
    ...(labels === undefined ? {} : { labels }),
    ...(warnings === undefined ? {} : { warnings }),
    ...(tokens === undefined ? {} : { tokens }),
  }
}

/** One copy of what many have. */
function shared<T>(known: Map<string, T>, key: string, value: T): T {
  const found = known.get(key)
  if (found === undefined && known.size < MAX_SHARED) known.set(key, value)
  return found ?? value
}
