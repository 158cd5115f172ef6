import { Tensor } from 'onnxruntime-node'
import type { Architecture } from '../architecture.ts'
import { ATTENTION_IO } from './attention.ts'

/** Inputs of `Attention`: who sees whom in a layer, and by how much every position is turned, of a sequence from its first token on. */
export function attentionFeeds(
  { attention, ropes, longRope }: Architecture,
  layer: number,
  tokens: number,
): Record<string, Tensor> {
  const window = attention.windows[layer] ?? tokens
  const mask = Float32Array.from({ length: tokens * tokens }, (_, i) => {
    const [query, key] = [Math.floor(i / tokens), i % tokens]
    return key <= query && key > query - window ? 0 : -Infinity
  })
  const feeds: Record<string, Tensor> = { [ATTENTION_IO.mask]: new Tensor('float32', mask, [tokens, tokens]) }
  const index = attention.ropes[layer] ?? null
  if (index === null) return feeds
  // The length of the whole sequence decides on its rotation.
  const rope = longRope !== null && tokens > longRope.length ? longRope.rope : ropes[index]!
  const { inverseFrequencies, attentionFactor } = rope
  const half = inverseFrequencies.length
  for (const [name, wave] of [
    [ATTENTION_IO.cos, Math.cos],
    [ATTENTION_IO.sin, Math.sin],
  ] as const) {
    const table = Float32Array.from({ length: tokens * half }, (_, i) => {
      return wave(Math.floor(i / half) * inverseFrequencies[i % half]!) * attentionFactor
    })
    feeds[name] = new Tensor('float32', table, [tokens, 1, half])
  }
  return feeds
}
