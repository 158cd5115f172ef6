import type { Activation } from '../../core/branch.ts'
import { fieldRefusal } from '../config-fields.ts'
import { readText } from './outer-config.ts'

/** Names of transformers' activation functions that have an equal here. `prelu` and `xielu` have weights of their own. */
const ACTIVATION_NAMES: Readonly<Record<string, Activation>> = {
  linear: 'identity',
  relu: 'relu',
  relu2: 'relu2',
  relu6: 'relu6',
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu',
  gelu_python: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_fast: 'gelu_tanh',
  gelu_accurate: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  gelu_python_tanh: 'gelu_tanh',
  gelu_10: 'gelu_clipped',
  quick_gelu: 'quick_gelu',
  mish: 'mish',
  laplace: 'laplace',
  tanh: 'tanh',
  sigmoid: 'sigmoid',
  leakyrelu: 'leaky_relu',
  leaky_relu: 'leaky_relu',
}

/** φ by the name that the `adapters` library has for it. @throws TroupeError `unsupported_adapter` listing the names */
export function readActivation(value: unknown): Activation {
  const name = readText('non_linearity', value).toLowerCase()
  const activation = Object.hasOwn(ACTIVATION_NAMES, name) ? ACTIVATION_NAMES[name] : undefined
  if (activation !== undefined) return activation
  const supported = `supported: ${Object.keys(ACTIVATION_NAMES).join(', ')}`
  throw fieldRefusal('unsupported_adapter', 'non_linearity', value, supported)
}

/** φ of one number, where it is evaluated at load. */
type Scalar = (x: number) => number

const SCALARS: Readonly<Partial<Record<Activation, Scalar>>> = {
  identity: (x) => x,
  relu: (x) => Math.max(0, x),
  relu2: (x) => Math.max(0, x) ** 2,
  relu6: (x) => Math.min(6, Math.max(0, x)),
  silu: (x) => x / (1 + Math.exp(-x)),
  quick_gelu: (x) => x / (1 + Math.exp(-1.702 * x)),
  gelu_tanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  mish: (x) => x * Math.tanh(Math.log1p(Math.exp(x))),
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  leaky_relu: (x) => (x < 0 ? 0.01 * x : x),
}

/** φ for evaluation at load. @throws TroupeError `unsupported_adapter` for those that need the error function */
export function readScalarActivation(value: unknown): Scalar {
  const scalar = SCALARS[readActivation(value)]
  if (scalar !== undefined) return scalar
  const fix = 'flatten the prefix before it is saved (model.eject_prefix_tuning)'
  throw fieldRefusal('unsupported_adapter', 'non_linearity', value, `it is not supported here; ${fix}`)
}
