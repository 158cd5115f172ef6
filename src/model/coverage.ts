import { TroupeError } from '../core/errors.ts'
import type { Architecture } from './architecture.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { PackedWeights } from './packed/packed-weights.ts'
import { layerTensor, layerTensors, modelTensors } from './plain-tensors.ts'

/** Bytes compared at a time. */
const PIECE_BYTES = 1 << 24

/**
 * Checks that the checkpoint has exactly the tensors its architecture says, in their shapes. Completes the names of one saved without head.
 *
 * @throws TroupeError `invalid_model` naming the first tensor that is missing, unknown or of another shape
 */
export function checkCoverage(checkpoint: Checkpoint, architecture: Architecture, packed: PackedWeights | null): void {
  nameLikeWhole(checkpoint, architecture)
  const expected = expectedTensors(architecture, packed)
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
  const derived = derivedTensors(architecture)
  for (const name of idleBiases(checkpoint, architecture, packed)) derived.add(name)
  const unknown = checkpoint.tensorNames.find((name) => !expected.has(name) && !derived.has(name))
  if (unknown !== undefined) {
    throw refusal(
      unknown,
      `${checkpoint.dir}: unknown tensor "${unknown}" for a model of family ${architecture.family}`,
    )
  }
  checkTiedHead(checkpoint, architecture)
}

/** Models with more parts keep their text model under another name; models saved without their head lack the first part of every name (GPT-2 on the hub). */
function nameLikeWhole(checkpoint: Checkpoint, { names }: Architecture): void {
  const { renamed = [], otherParts = [], basePrefix, embed, head } = names
  if (renamed.length > 0) {
    checkpoint.rename((name) => {
      if (otherParts.some((part) => name.startsWith(part))) return null
      const [from, to] = renamed.find(([start]) => name.startsWith(start)) ?? ['', '']
      return to + name.slice(from.length)
    })
  }
  if (checkpoint.has(embed) || !checkpoint.has(embed.slice(basePrefix.length))) return
  checkpoint.rename((name) => (name === head ? name : basePrefix + name))
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

function expectedTensors(architecture: Architecture, packed: PackedWeights | null): Map<string, readonly number[]> {
  const { hidden, vocab, layers, names, modules } = architecture
  const head = names.head.replace(/\.weight$/, '')
  const expected = new Map<string, readonly number[]>(
    packed?.has(head) ? packed.tensors(head, { inDim: hidden, outDim: vocab }) : [[names.head, [vocab, hidden]]],
  )
  for (const { source, shape, skipRows } of modelTensors(architecture)) {
    expected.set(source, [shape[0]! + skipRows, ...shape.slice(1)])
  }
  for (let layer = 0; layer < layers; layer++) {
    for (const { source, shape } of layerTensors(architecture, layer)) expected.set(source, shape)
    for (const module of modules) {
      const { path, inDim, outDim, transposed, biased } = module
      const stem = layerTensor(path, layer)
      if (packed?.has(stem)) for (const [name, shape] of packed.tensors(stem, module)) expected.set(name, shape)
      else expected.set(`${stem}.weight`, transposed ? [inDim, outDim] : [outDim, inDim])
      if (biased) expected.set(`${stem}.bias`, [outDim])
    }
  }
  return expected
}

/** Tensors that old checkpoints carry although they can be computed from the configuration. */
function derivedTensors({ names, layers }: Architecture): Set<string> {
  const perLayer = Array.from({ length: layers }, (_, layer) =>
    (names.derived ?? []).map((name) => layerTensor(name, layer)),
  )
  return new Set(perLayer.flat())
}

/** Biases of zeros, which some programs save with packed modules that have none. */
function idleBiases(checkpoint: Checkpoint, { layers, modules }: Architecture, packed: PackedWeights | null): string[] {
  if (packed === null) return []
  const stems = modules.flatMap(({ path, biased }) =>
    biased ? [] : Array.from({ length: layers }, (_, layer) => layerTensor(path, layer)),
  )
  return stems
    .filter((stem) => packed.has(stem))
    .map((stem) => `${stem}.bias`)
    .filter((name) => checkpoint.has(name) && checkpoint.readF32(name).every((value) => value === 0))
}

function refusal(param: string, message: string): TroupeError {
  return new TroupeError('invalid_model', message, { param })
}
