import { InferenceSession, Tensor } from 'onnxruntime-node'
import { GraphBuilder } from '../model/onnx/graph-builder.ts'

const INPUTS = 64
const OUTPUTS = 16
const [LARGEST_INPUT, LARGEST_WEIGHT] = [255, 127]

/**
 * Configuration entries (`extra.session`) with which ONNX Runtime sums products of bytes exactly on this processor. x64 without VNNI adds two of
 * them in 16 bits, which cannot hold the largest, unless it is told otherwise; where it need not be told, telling it makes the products
 * slower. So it is tried.
 */
export async function exactByteSums(): Promise<Readonly<Record<string, string>>> {
  const graph = new GraphBuilder()
  const x = graph.input('x', 'u8', [1, INPUTS])
  const weights = Array.from({ length: INPUTS * OUTPUTS }, () => LARGEST_WEIGHT)
  graph.output(
    graph.nodes('MatMulInteger', [x, graph.constant('i8', [INPUTS, OUTPUTS], weights)], ['sums'])[0]!,
    'i32',
    [1, OUTPUTS],
  )
  const session = await InferenceSession.create(graph.build('byte-sums'), { intraOpNumThreads: 1 })
  try {
    const input = new Tensor('uint8', new Uint8Array(INPUTS).fill(LARGEST_INPUT), [1, INPUTS])
    const sums = (await session.run({ x: input }))['sums']!.data as Int32Array
    const isExact = sums.every((sum) => sum === INPUTS * LARGEST_INPUT * LARGEST_WEIGHT)
    return isExact ? {} : { x64quantprecision: '1' }
  } finally {
    await session.release()
  }
}
