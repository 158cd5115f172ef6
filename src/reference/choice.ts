import { formatByteSize } from '../config/byte-size.ts'
import type { Settings } from '../config/schema.ts'
import type { Architecture } from '../model/architecture.ts'
import type { PreparedModel } from '../model/prepared.ts'
import { MergedReference } from './merged-reference.ts'

/** Base models of up to this size in f32 are merged into by `auto`: more takes minutes on a small machine. */
const AUTO_BYTES = 4 * 2 ** 30

/** The reference for a base model; where the setting or its size forbids one, why there is none. */
export function chooseReference(
  choice: Settings['mergedProbe'],
  prepared: PreparedModel,
): MergedReference | { readonly off: string } {
  if (choice === 'off') return { off: 'the setting mergedProbe is off' }
  const { architecture } = prepared.manifest
  if (mergesInto(architecture, choice)) return new MergedReference({ preparedDir: prepared.dir })
  const bytes = weightBytes(architecture)
  const limit = formatByteSize(AUTO_BYTES)
  return {
    off: `the base model has ${formatByteSize(bytes)} of weights in f32, and more than ${limit} only mergedProbe "on" merges`,
  }
}

/** Whether new versions are compared with merged weights of such a model. */
export function mergesInto(architecture: Architecture, choice: Settings['mergedProbe']): boolean {
  return choice === 'on' || (choice === 'auto' && weightBytes(architecture) <= AUTO_BYTES)
}

/** Bytes in f32 of all linear layers and the head: what one pass of the reference has to read. */
function weightBytes({ layers, modules, vocab, hidden }: Architecture): number {
  const perLayer = modules.reduce((sum, { inDim, outDim }) => sum + inDim * outDim, 0)
  return (layers * perLayer + vocab * hidden) * Float32Array.BYTES_PER_ELEMENT
}
