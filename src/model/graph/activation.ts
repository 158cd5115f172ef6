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
    case 'relu2': {
      const positive = graph.node('Relu', [x])
      return graph.node('Mul', [positive, positive])
    }
    case 'relu6':
      return graph.node('Clip', [x, graph.constant('f32', [], [0]), graph.constant('f32', [], [6])])
    case 'silu':
      return graph.node('QuickGelu', [x], { alpha: { float: 1 } }, MICROSOFT)
    case 'quick_gelu':
      return graph.node('QuickGelu', [x], { alpha: { float: 1.702 } }, MICROSOFT)
    case 'gelu':
      return graph.node('Gelu', [x], { approximate: 'none' })
    case 'gelu_tanh':
      return graph.node('Gelu', [x], { approximate: 'tanh' })
    case 'gelu_clipped': {
      const bounds = [-10, 10].map((bound) => graph.constant('f32', [], [bound]))
      return graph.node('Clip', [activate(graph, 'gelu', x), ...bounds])
    }
    case 'mish':
      return graph.node('Mul', [x, graph.node('Tanh', [graph.node('Softplus', [x])])])
    case 'laplace':
      return laplace(graph, x)
    case 'tanh':
      return graph.node('Tanh', [x])
    case 'sigmoid':
      return graph.node('Sigmoid', [x])
    case 'leaky_relu':
      return graph.node('LeakyRelu', [x], { alpha: { float: 0.01 } })
  }
}

/** Φ((x − μ) / σ) with μ = √½ and σ = √(1 / 4π), which comes close to ReLU² (Ma et al. 2022, MEGA). */
function laplace(graph: GraphBuilder, x: Value): Value {
  const constant = (value: number): Value => graph.constant('f32', [], [value])
  const shifted = graph.node('Sub', [x, constant(0.707107)])
  const erf = graph.node('Erf', [graph.node('Div', [shifted, constant(0.282095 * Math.SQRT2)])])
  return graph.node('Mul', [graph.node('Add', [erf, constant(1)]), constant(0.5)])
}
