import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { afterAll, describe, expect, it } from 'vitest'
import { exactByteSums } from '../../../src/engine/byte-sums.ts'
import { GraphBuilder } from '../../../src/model/onnx/graph-builder.ts'
import { HadamardProducts } from '../../../src/model/graph/hadamard-product.ts'
import { roundHadamard } from '../../../src/model/hadamard-rows.ts'
import { hadamardInPlace, hadamardSize } from '../../../src/model/hadamard.ts'
import { transposeInto } from '../../../src/core/transpose.ts'
import { noise } from '../../support/tiny-checkpoint.ts'

const dir = mkdtempSync(join(tmpdir(), 'troupe-turned-'))
const sessions: InferenceSession[] = []
afterAll(async () => {
  for (const session of sessions) await session.release()
  rmSync(dir, { recursive: true })
})

type Product = (x: Float32Array) => Promise<Float32Array>

/** What the graph gives for rows of `inDim`, with weights `[outDim, inDim]` rounded as a model is prepared. */
async function product(weights: Float32Array, inDim: number): Promise<Product> {
  const outDim = weights.length / inDim
  const scales = new Float32Array(outDim)
  const steps = new Int8Array(weights.length)
  transposeInto(roundHadamard(weights.slice(), inDim, scales), outDim, inDim, steps, outDim, 0)
  const file = `${sessions.length}.bin`
  writeFileSync(join(dir, file), Buffer.concat([Buffer.from(steps.buffer), Buffer.from(scales.buffer)]))
  const graph = new GraphBuilder()
  const x = graph.input('x', 'f32', ['rows', inDim])
  const inputs = [
    graph.external('steps', 'i8', [inDim, outDim], { file, offset: 0, bytes: steps.length }),
    graph.external('scales', 'f32', [outDim], { file, offset: steps.length, bytes: scales.byteLength }),
  ] as const
  graph.output(new HadamardProducts(graph).product(x, inDim, ...inputs, ['y']), 'f32', ['rows', outDim])
  const session = await InferenceSession.create(graph.build('product'), {
    extra: { session: { model_external_initializers_file_folder_path: dir, ...(await exactByteSums()) } },
  })
  sessions.push(session)
  return async (rows) => {
    const output = await session.run({ x: new Tensor('float32', rows, [rows.length / inDim, inDim]) })
    return output['y']!.data as Float32Array
  }
}

/** `x · Wᵀ` in doubles. */
function exactly(x: Float32Array, weights: Float32Array, inDim: number): number[] {
  const outDim = weights.length / inDim
  return Array.from({ length: (x.length / inDim) * outDim }, (_, at) => {
    const [row, output] = [Math.floor(at / outDim), at % outDim]
    let sum = 0
    for (let i = 0; i < inDim; i++) sum += x[row * inDim + i]! * weights[output * inDim + i]!
    return sum
  })
}

function relativeError(found: Float32Array, expected: readonly number[]): number {
  const error = expected.reduce((sum, value, i) => sum + (found[i]! - value) ** 2, 0)
  return Math.sqrt(error / expected.reduce((sum, value) => sum + value ** 2, 0))
}

describe('products of turned blocks', () => {
  it.each([
    [128, 40],
    [96, 24],
    [40, 16],
    [7, 5],
  ])('are those of the weights but for the rounding: %i inputs, %i outputs', async (inDim, outDim) => {
    const [weights, x] = [noise(1, inDim * outDim), noise(2, 3 * inDim)]
    const found = await (await product(weights, inDim))(x)
    expect(relativeError(found, exactly(x, weights, inDim))).toBeLessThan(0.015)
  })

  it('keep small inputs beside an outlier', async () => {
    const inDim = 128
    const [weights, x] = [noise(3, inDim * 32), noise(4, inDim).map((value) => value / 200)]
    x[17] = 2
    const found = await (await product(weights, inDim))(x)
    const without = x.slice()
    without[17] = 0
    const outlier = x.map((value, i) => value - without[i]!)
    const [rest, largest] = [exactly(without, weights, inDim), exactly(outlier, weights, inDim)]
    // Unrotated, every other input would be less than half a step of the outlier's and be lost: an error of 1.
    expect(Math.max(...without.map(Math.abs))).toBeLessThan(2 / 127 / 2)
    expect(
      relativeError(
        found.map((value, i) => value - largest[i]!),
        rest,
      ),
    ).toBeLessThan(0.75)
  })

  it('do not depend on the rows beside a row, to the last bit', async () => {
    const [inDim, rows] = [256, 19]
    const [weights, x] = [noise(5, inDim * 48), noise(6, rows * inDim)]
    const run = await product(weights, inDim)
    const together = await run(x)
    for (let row = 0; row < rows; row++) {
      const alone = await run(x.slice(row * inDim, (row + 1) * inDim))
      expect(together.slice(row * 48, (row + 1) * 48)).toEqual(alone)
    }
  })

  it('are whole sums where every step is as large as it can be', async () => {
    // Rows that are 1 everywhere once they are turned, of both signs: pairs of such products do not fit in 16 bits.
    const inDim = 256
    const ones = new Float32Array(inDim).fill(1)
    hadamardInPlace(ones, hadamardSize(inDim))
    const weights = Float32Array.from([...ones, ...ones.map((value) => -value)])
    const found = await (await product(weights, inDim))(Float32Array.from([...ones, ...ones.map((value) => -value)]))
    ;[inDim, -inDim, -inDim, inDim].forEach((value, i) => expect(found[i]! / value).toBeCloseTo(1, 5))
  })

  it('are 0 for a row of zeros, and nothing for no rows', async () => {
    const run = await product(noise(7, 64 * 8), 64)
    for (const value of await run(new Float32Array(64))) expect(Math.abs(value)).toBe(0)
    expect(await run(new Float32Array(0))).toHaveLength(0)
  })
})
