import { prepareModel } from '../../src/model/prepare.ts'
import type { PreparedManifest } from '../../src/model/prepared.ts'
import { BASE, THREADS } from '../context.ts'
import type { Group } from '../groups.ts'
import { figure, promise } from '../groups.ts'
import { median } from '../measure/alternate.ts'
import { memoryBandwidth } from '../measure/bandwidth.ts'
import { runBatch } from '../measure/batch.ts'
import { SHAPES } from '../synthetic/shapes.ts'

const TRIES = 5
/** Tensors of which a token reads a row or two: embedding and positions. */
const LOOKED_UP = /^(embed|positions)$/

/** How much of the machine's memory bandwidth a single sequence gets out of it. */
export const BANDWIDTH: Group = {
  name: 'bandwidth',
  rows: ['bandwidth'],
  run: async (context, _rows, progress) => {
    const { precision, promptTokens, newTokens, rounds, warmUps } = context.options
    const folders = { modelDir: context.model(), cacheDir: context.path('prepared') }
    const { manifest } = await prepareModel({ ...folders, precision, name: BASE })
    const bytes = bytesPerToken(manifest, promptTokens + newTokens / 2)
    const server = await context.server()
    const steps: number[] = []
    const bandwidths: number[] = []
    for (let round = -warmUps; round < rounds; round++) {
      const bandwidth = await memoryBandwidth(THREADS, TRIES)
      const { decodePerSecond } = await runBatch(server, [BASE], context.options)
      if (round >= 0) {
        bandwidths.push(bandwidth)
        steps.push(1 / decodePerSecond)
      }
      progress(round + warmUps + 1, rounds + warmUps, 'step and memory bandwidth')
    }
    const [bandwidth, step] = [median(bandwidths), median(steps)]
    return [
      promise('bytes of a token / memory bandwidth / step at batch 1', bytes / bandwidth / step, '', { least: 0.75 }),
      figure('bytes read for a token', bytes / 1e6, 'MB'),
      figure(`memory bandwidth, ${THREADS} threads reading`, bandwidth / 1e9, 'GB/s'),
      figure('step at batch 1', step * 1000, 'ms'),
    ]
  },
}

/** The weights once, and keys and values (bf16) of the tokens before. */
function bytesPerToken({ tensors }: PreparedManifest, context: number): number {
  const weights = Object.entries(tensors)
    .filter(([name]) => !LOOKED_UP.test(name))
    .reduce((sum, [, { bytes }]) => sum + bytes, 0)
  return weights + context * SHAPES.layers * 2 * SHAPES.kvHeads * SHAPES.headDim * 2
}
