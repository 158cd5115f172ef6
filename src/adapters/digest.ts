import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import type { JsonObject } from '../core/json.ts'
import { canonicalJson } from '../core/json.ts'
import type { AdapterFormat } from './files.ts'
import type { FoundTokens } from './own-tokens.ts'

/**
 * Fields that say where an adapter comes from and never what it computes, so that the same weights saved from another folder or by
 * another release of the library are the same version. Everything else counts, even what only training reads.
 */
const PROVENANCE: Readonly<Record<AdapterFormat, readonly string[]>> = {
  peft: ['auto_mapping', 'base_model_name_or_path', 'inference_mode', 'peft_version', 'revision', 'runtime_config'],
  adapterhub: ['model_name', 'version'],
  mlx: ['adapter_path', 'config', 'data', 'model', 'project_name', 'report_to', 'resume_adapter_file', 'wandb'],
}

/** Read and hashed at a time: it stays in the processor's cache. */
const PIECE_BYTES = 1 << 18

/**
 * Identity of an adapter version: `sha256:…` over the normalised configuration (canonical JSON without provenance and without nulls, which
 * mean the same as absence), the sha256 of the weights file, and the tokens it adds, if any.
 */
export function digestAdapter(
  format: AdapterFormat,
  config: JsonObject,
  weightsSha256: string,
  tokens: FoundTokens | null = null,
): string {
  const kept = Object.entries(config).filter(([field, value]) => value !== null && !PROVENANCE[format].includes(field))
  const identity = canonicalJson({
    format,
    config: Object.fromEntries(kept),
    weights: weightsSha256,
    ...(tokens && { tokens }),
  })
  return `sha256:${createHash('sha256').update(identity).digest('hex')}`
}

/** sha256 of a file's bytes, in hex. */
export function sha256File(path: string): string {
  const fd = openSync(path, 'r')
  try {
    return sha256Open(fd)
  } finally {
    closeSync(fd)
  }
}

/** The same for an open file, from its first byte wherever others read it. Any thread of the process may call it. */
export function sha256Open(fd: number): string {
  const hash = createHash('sha256')
  const piece = new Uint8Array(PIECE_BYTES)
  for (let at = 0; ;) {
    const got = readSync(fd, piece, 0, piece.length, at)
    if (got === 0) return hash.digest('hex')
    hash.update(piece.subarray(0, got))
    at += got
  }
}
