import { Noise } from '../synthetic/noise.ts'
import { SHAPES } from '../synthetic/shapes.ts'

const noise = new Noise(7)
/** Ids below are special tokens. */
const FIRST_TOKEN = 2

/** A prompt that no other call gives: nothing can have been computed before. */
export function freshPrompt(length: number, vocab = SHAPES.vocab): number[] {
  return Array.from({ length }, () => FIRST_TOKEN + noise.below(vocab - FIRST_TOKEN))
}
