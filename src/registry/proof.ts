import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { SiteNorm } from '../adapters/site-norms.ts'
import { TroupeError } from '../core/errors.ts'
import { isJsonObject, parseJsonObject } from '../core/json.ts'
import type { MergedResult, VersionRecord } from './records.ts'
import type { RegistryStore, Staging } from './store/port.ts'

const PROOF_FILE = 'proof.json'

/** What was found when a version was checked. Too much to keep in memory for every version: it lies beside its files. */
export interface Proof {
  /** Values in the files; all of them act. */
  readonly parameters: number
  readonly sites: readonly SiteNorm[]
  /** null in proofs from before there was a comparison. */
  readonly merged: MergedResult | null
}

/** Adds the proof to the files of a version that is about to be published. */
export async function writeProof(staging: Staging, proof: Proof): Promise<void> {
  await staging.write(PROOF_FILE, Readable.from([Buffer.from(`${JSON.stringify(proof)}\n`)]))
}

/** The proof of a stored version; null for what never was one. @throws TroupeError `storage_error` */
export async function proofOf(store: RegistryStore, record: VersionRecord): Promise<Proof | null> {
  if (record.probe === null) return null
  return readProof(store.versionFolder(record.adapter, record.digest))
}

/**
 * The proof in a version's folder; null for versions from before there was one.
 *
 * @throws TroupeError `storage_error`
 */
export async function readProof(dir: string): Promise<Proof | null> {
  let text: string
  try {
    text = await readFile(join(dir, PROOF_FILE), 'utf8')
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return null
    const detail = cause instanceof Error ? cause.message : String(cause)
    throw new TroupeError('storage_error', `cannot read ${join(dir, PROOF_FILE)}: ${detail}`, { cause })
  }
  const { parameters, sites, merged = null } = parseJsonObject(text, PROOF_FILE, 'storage_error')
  const isNorm = (value: unknown): value is SiteNorm =>
    isJsonObject(value) && typeof value.site === 'string' && typeof value.norm === 'number'
  if (typeof parameters !== 'number' || !Array.isArray(sites) || !sites.every(isNorm))
    throw new TroupeError('storage_error', `${PROOF_FILE} must have "parameters" and "sites": [{ site, norm }]`)
  if (merged === null || isMergedResult(merged)) return { parameters, sites, merged }
  throw new TroupeError('storage_error', `${PROOF_FILE}: "merged" must have "deviation", "tolerance" and "reason"`)
}

function isMergedResult(value: unknown): value is MergedResult {
  if (!isJsonObject(value)) return false
  const { deviation, tolerance, reason } = value
  if (typeof reason === 'string') return deviation === null && tolerance === null
  return reason === null && typeof deviation === 'number' && typeof tolerance === 'number'
}
