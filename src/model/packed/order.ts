import { TroupeError } from '../../core/errors.ts'

/**
 * The inputs in the order in which their groups are (`desc_act` saves weights whose groups are spread over the inputs).
 *
 * @param groupOf the group of every input
 * @returns which input every column multiplies once groups lie together; null when they already do
 * @throws TroupeError `invalid_model` when a group is not as large as it should be
 */
export function inputsByGroup(groupOf: Int32Array, groupSize: number, tensor: string): Int32Array | null {
  if (groupOf.every((group, i) => group === Math.floor(i / groupSize))) return null
  const inputs = Int32Array.from(groupOf, (_, i) => i).sort((a, b) => groupOf[a]! - groupOf[b]! || a - b)
  const wrong = inputs.findIndex((input, i) => groupOf[input] !== Math.floor(i / groupSize))
  if (wrong < 0) return inputs
  const text = `"${tensor}" does not put ${groupSize} inputs in every group, in particular not in group ${groupOf[inputs[wrong]!]!}`
  throw new TroupeError('invalid_model', text, { param: tensor })
}

/** `[rows, inputs]` with the inputs of each row in the given order. */
export function reorderInputs(steps: Uint8Array, inputs: Int32Array | null): Uint8Array {
  if (inputs === null) return steps
  const width = inputs.length
  const ordered = new Uint8Array(steps.length)
  for (let row = 0; row < steps.length; row += width) {
    for (let i = 0; i < width; i++) ordered[row + i] = steps[row + inputs[i]!]!
  }
  return ordered
}
