import { InferenceSession, Tensor } from 'onnxruntime-node'
import { expect, it } from 'vitest'
import { ACTIVATIONS, ACTIVATION_OF_ONE } from '../../../src/core/branch.ts'
import { activate } from '../../../src/model/graph/activation.ts'
import type { Value } from '../../../src/model/onnx/graph-builder.ts'
import { GraphBuilder } from '../../../src/model/onnx/graph-builder.ts'

it.each(ACTIVATIONS)('%s of 1 is what a bias after the module is divided by', async (phi) => {
  const graph = new GraphBuilder()
  const value = activate(graph, phi, graph.input('x', 'f32', [1]))
  graph.output(graph.nodes('Identity', [value], ['y'])[0] as Value, 'f32', [1])
  const session = await InferenceSession.create(graph.build('activation'))
  const { y } = await session.run({ x: new Tensor('float32', Float32Array.of(1), [1]) })
  expect((y!.data as Float32Array)[0]).toBeCloseTo(ACTIVATION_OF_ONE[phi], 5)
  await session.release()
})
