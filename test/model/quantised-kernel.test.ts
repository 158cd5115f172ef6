import { InferenceSession, Tensor } from 'onnxruntime-node'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { GraphBuilder, MICROSOFT } from '../../src/model/onnx/graph-builder.ts'
import { quantizeRows } from '../../src/model/quantize.ts'

const dir = mkdtempSync(join(tmpdir(), 'troupe-kernel-'))
afterAll(() => rmSync(dir, { recursive: true }))

/** Deterministic values in (−1, 1). */
function noise(length: number, seed: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.sin((i + 1) * 12.9898 + seed) * Math.cos(i * 0.37 + seed))
}

it.each([
  { accuracyLevel: 0, tolerance: 1e-5 },
  { accuracyLevel: 4, tolerance: 2e-2 },
] as const)(
  'ONNX Runtime reads our blocks of 4 bits as we wrote them (accuracy level $accuracyLevel)',
  async (setting) => {
    const { accuracyLevel, tolerance } = setting
    const blockBytes = 16
    const [rows, cols, outs] = [3, 96, 40]
    const groups = cols / 32
    const weights = noise(outs * cols, 1)
    const steps = new Uint8Array(outs * groups * blockBytes)
    const scales = new Float32Array(outs * groups)
    quantizeRows(weights, outs, cols, steps, scales)
    writeFileSync(join(dir, 'weights.bin'), Buffer.concat([steps, Buffer.from(scales.buffer)]))

    const graph = new GraphBuilder()
    const x = graph.input('x', 'f32', [rows, cols])
    const inputs = [
      x,
      graph.external('q', 'u8', [outs, groups, blockBytes], { file: 'weights.bin', offset: 0, bytes: steps.length }),
      graph.external('s', 'f32', [outs, groups], {
        file: 'weights.bin',
        offset: steps.length,
        bytes: scales.byteLength,
      }),
    ]
    const attributes = { K: cols, N: outs, bits: 4, block_size: 32, accuracy_level: accuracyLevel }
    const y = graph.nodes('MatMulNBits', inputs, ['y'], attributes, MICROSOFT)[0]!
    graph.output(y, 'f32', [rows, outs])
    const session = await InferenceSession.create(graph.build('kernel'), {
      extra: { session: { model_external_initializers_file_folder_path: dir } },
    })
    const input = noise(rows * cols, 2)
    const output = (await session.run({ x: new Tensor('float32', input, [rows, cols]) }))['y']!.data as Float32Array

    const dequantised = (out: number, col: number): number => {
      const block = out * groups + Math.floor(col / 32)
      const byte = steps[block * blockBytes + Math.floor((col % 32) / 2)]!
      const step = col % 2 === 0 ? byte & 15 : byte >> 4
      return (step - 8) * scales[block]!
    }
    let largest = 0
    for (let row = 0; row < rows; row++)
      for (let out = 0; out < outs; out++) {
        let expected = 0
        for (let col = 0; col < cols; col++) expected += input[row * cols + col]! * dequantised(out, col)
        largest = Math.max(largest, Math.abs(expected - output[row * outs + out]!) / Math.sqrt(cols))
      }
    expect(largest).toBeLessThan(tolerance)
  },
)
