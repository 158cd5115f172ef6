import { TroupeError } from '../core/errors.ts'
import { LINEAR_KINDS } from '../core/branch.ts'
import type { Architecture } from './architecture.ts'
import type { Checkpoint } from './checkpoint.ts'
import { linearDims } from './layout.ts'

/** Tensors old checkpoints carry that can be computed from the configuration. */
const DERIVED = /(^|\.)rotary_emb\.inv_freq$/

/** Bytes compared at a time. */
const PIECE_BYTES = 1 << 24

/** Name of a tensor of one layer. */
export function layerTensor(pattern: string, layer: number): string {
  return pattern.replace('{i}', String(layer))
}

/**
 * Checks that the checkpoint has exactly the tensors its architecture says, in their shapes.
 *
 * @throws TroupeError `invalid_model` naming the first tensor that is missing, unknown or of another shape
 */
export function checkCoverage(checkpoint: Checkpoint, architecture: Architecture): void {
  const expected = expectedTensors(architecture)
  for (const [name, shape] of expected) {
    if (!checkpoint.has(name)) {
      if (name === architecture.names.head && architecture.tiedHead) continue
      const hint = name === architecture.names.head ? ' and config.json does not say "tie_word_embeddings": true' : ''
      throw refusal(name, `${checkpoint.dir}: the tensor "${name}" is missing${hint}`)
    }
    const found = checkpoint.entry(name).shape
    if (found.length !== shape.length || found.some((size, i) => size !== shape[i])) {
      const text = `${checkpoint.dir}: tensor "${name}" is [${found.join(', ')}], config.json gives [${shape.join(', ')}]`
      throw refusal(name, text)
    }
  }
  const unknown = checkpoint.tensorNames.find((name) => !expected.has(name) && !DERIVED.test(name))
  if (unknown !== undefined) {
    throw refusal(
      unknown,
      `${checkpoint.dir}: unknown tensor "${unknown}" for a model of family ${architecture.family}`,
    )
  }
  checkTiedHead(checkpoint, architecture)
}

/** A head saved although it is tied must equal the embedding: which of the two counts differs between versions of transformers. */
function checkTiedHead(checkpoint: Checkpoint, { names, tiedHead }: Architecture): void {
  if (!tiedHead || !checkpoint.has(names.head)) return
  const { bytes, dtype } = checkpoint.entry(names.head)
  let equal = checkpoint.entry(names.embed).dtype === dtype
  const [head, embed] = [Buffer.alloc(Math.min(bytes, PIECE_BYTES)), Buffer.alloc(Math.min(bytes, PIECE_BYTES))]
  for (let done = 0; equal && done < bytes; done += PIECE_BYTES) {
    const length = Math.min(PIECE_BYTES, bytes - done)
    checkpoint.readBytes(names.head, head.subarray(0, length), done)
    checkpoint.readBytes(names.embed, embed.subarray(0, length), done)
    equal = head.subarray(0, length).equals(embed.subarray(0, length))
  }
  if (equal) return
  const fix = 'set it to false, or remove the tensor'
  const text = `config.json says "tie_word_embeddings": true, but "${names.head}" differs from "${names.embed}"; ${fix}`
  throw refusal(names.head, `${checkpoint.dir}: ${text}`)
}

function expectedTensors(architecture: Architecture): Map<string, readonly number[]> {
  const { hidden, vocab, headDim, layers, names, biases } = architecture
  const dims = linearDims(architecture)
  const expected = new Map<string, readonly number[]>([
    [names.embed, [vocab, hidden]],
    [names.finalNorm, [hidden]],
    [names.head, [vocab, hidden]],
  ])
  for (let layer = 0; layer < layers; layer++) {
    const add = (pattern: string, shape: readonly number[]): unknown => expected.set(layerTensor(pattern, layer), shape)
    add(names.attnNorm, [hidden])
    add(names.mlpNorm, [hidden])
    if (names.qNorm !== undefined) add(names.qNorm, [headDim])
    if (names.kNorm !== undefined) add(names.kNorm, [headDim])
    for (const kind of LINEAR_KINDS) {
      const [inDim, outDim] = dims[kind]
      add(`${names.linear[kind]}.weight`, [outDim, inDim])
      if (biases.includes(kind)) add(`${names.linear[kind]}.bias`, [outDim])
    }
  }
  return expected
}

function refusal(param: string, message: string): TroupeError {
  return new TroupeError('invalid_model', message, { param })
}
