import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Type } from 'typebox'
import type { Static } from 'typebox'
import { TroupeError } from '../core/errors.ts'
import { parseJsonObject } from '../core/json.ts'
import type { DeepReadonly } from '../core/readonly.ts'
import { Shape } from '../core/shape.ts'
import { errnoOf, storageError } from '../store/filesystem/durable.ts'

export const PROOF_FILE = 'proof.json'

/**
 * How far the adapter's effect on the probe's log-probabilities is from that of weights which it was merged into, and how far it could be by rounding:
 * mean absolute differences as shares of the mean effect. Where nothing was compared both are null and there is a reason.
 */
const MergedSchema = Type.Union([
  Type.Object({ deviation: Type.Number(), tolerance: Type.Number(), reason: Type.Null() }),
  Type.Object({ deviation: Type.Null(), tolerance: Type.Null(), reason: Type.String() }),
])

/** What was found when a version was checked. Too much to keep in memory for every version: it lies beside its files. */
const ProofSchema = Type.Object({
  /** Values in the files; all of them act. */
  parameters: Type.Integer(),
  /** How strong the adapter is, place by place. */
  sites: Type.Array(Type.Object({ site: Type.String(), norm: Type.Number() })),
  /** null in proofs from before there was a comparison. */
  merged: Type.Union([MergedSchema, Type.Null()]),
})
export type MergedResult = DeepReadonly<Static<typeof MergedSchema>>
export type Proof = DeepReadonly<Static<typeof ProofSchema>>

const shape = new Shape(ProofSchema, PROOF_FILE)

/** Puts the proof beside the files of a version that is about to be published. */
export async function writeProof(dir: string, proof: Proof): Promise<void> {
  const path = join(dir, PROOF_FILE)
  await writeFile(path, `${JSON.stringify(proof)}\n`).catch((error: unknown) => {
    throw storageError('write', path, error)
  })
}

/** @throws TroupeError `storage_error` naming the field */
export function parseProof(text: string): Proof {
  const json = parseJsonObject(text, PROOF_FILE, 'storage_error')
  return shape.check({ merged: null, ...json }, 'storage_error')
}

/** The proof in a folder; null for versions from before there was one. @throws TroupeError `storage_error` */
export async function readProof(dir: string): Promise<Proof | null> {
  try {
    return parseProof(await readFile(join(dir, PROOF_FILE), 'utf8'))
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return null
    if (cause instanceof TroupeError) throw cause
    throw storageError('read', join(dir, PROOF_FILE), cause)
  }
}
