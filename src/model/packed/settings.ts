import type { StepBits } from './matrix.ts'
import type { ConfigFields } from '../families/config-fields.ts'

/** Number of bits of a step. */
export function readBits(config: ConfigFields, field: string, allowed: readonly StepBits[] = [4, 8]): StepBits {
  const bits = allowed.find((count) => count === config.raw(field))
  if (bits === undefined) throw config.refuse(field, allowed.join(' or '))
  return bits
}

/** Inputs of a group, a power of two from 16 on; −1 = all inputs (null). */
export function readGroupSize(config: ConfigFields, field: string): number | null {
  const size = config.raw(field)
  if (size === -1) return null
  if (typeof size === 'number' && size >= 16 && Number.isInteger(Math.log2(size))) return size
  throw config.refuse(field, 'a power of two from 16 on, or -1')
}
