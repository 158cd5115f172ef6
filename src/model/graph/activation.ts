import type { Activation } from '../../core/branch.ts'
import type { GraphBuilder, Value } from '../onnx/graph-builder.ts'
import { MICROSOFT } from '../onnx/graph-builder.ts'

/** φ(x), element by element. */
export function activate(graph: GraphBuilder, phi: Activation, x: Value): Value {
  switch (phi) {
    case 'identity':
      return x
    case 'relu':
      return graph.node('Relu', [x])
    case 'silu':
      return graph.node('QuickGelu', [x], { alpha: { float: 1 } }, MICROSOFT)
    case 'gelu':
      return graph.node('Gelu', [x], { approximate: 'none' })
    case 'gelu_tanh':
      return graph.node('Gelu', [x], { approximate: 'tanh' })
    case 'tanh':
      return graph.node('Tanh', [x])
    case 'sigmoid':
      return graph.node('Sigmoid', [x])
    case 'leaky_relu':
      return graph.node('LeakyRelu', [x], { alpha: { float: 0.01 } })
  }
}
