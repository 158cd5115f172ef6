import type { Activation, ResidualKind } from '../../core/branch.ts'
import type { JsonObject } from '../../core/json.ts'
import { isJsonObject } from '../../core/json.ts'
import { checkFields, fieldRefusal, readFlag, readLayers, readNumber } from '../config-fields.ts'
import { readActivation } from './activations.ts'
import type { OuterConfig } from './outer-config.ts'

/** Where the `adapters` library keeps a layer's modules, and the kind of site they are. */
export type Location = 'attention_adapters' | 'output_adapters'

/** What AdapterHub's `adapter_config.json` says about a bottleneck adapter, checked. */
export interface BottleneckConfig {
  readonly outer: OuterConfig
  readonly activation: Activation
  /** A number, or a tensor beside the module: one value, or one per channel. */
  readonly scaling: number | 'learned' | 'channel'
  readonly sites: ReadonlyMap<Location, ResidualKind>
  /** hidden / bottleneck size of each layer; null = the same for all. */
  readonly reduction: number | Readonly<Record<string, number>>
  readonly leaveOut: readonly number[]
}

const INNER_RULES = {
  read: [
    'mh_adapter',
    'output_adapter',
    'original_ln_before',
    'original_ln_after',
    'residual_before_ln',
    'is_parallel',
    'non_linearity',
    'reduction_factor',
    'scaling',
    'leave_out',
  ],
  ignored: [
    // Without a layer norm of its own (ln_after) the order of the two additions does not matter.
    'adapter_residual_before_ln',
    'dropout',
    'factorized_phm_W',
    'factorized_phm_rule',
    'hypercomplex_nonlinearity',
    'init_weights',
    'init_weights_seed',
    'inv_adapter_reduction_factor',
    'learn_phm',
    'phm_bias',
    'phm_c_init',
    'phm_dim',
    'phm_init_range',
    'phm_rank',
    'shared_W_phm',
    'shared_phm_rule',
    'stochastic_depth',
  ],
  // ln_before, ln_after, use_gating, phm_layer, inv_adapter, cross_adapter and architecture must be off.
  allowed: {},
}

/**
 * Reads the configuration of a bottleneck adapter saved by the `adapters` library.
 *
 * @throws TroupeError `unsupported_adapter` naming a field that asks for what branches cannot express, `invalid_adapter` naming one that is
 * malformed
 */
export function readBottleneckConfig(outer: OuterConfig): BottleneckConfig {
  const { inner: config } = outer
  checkFields(config, INNER_RULES)
  return {
    outer,
    activation: readActivation(config['non_linearity']),
    scaling: readScaling(config['scaling']),
    sites: readSites(config),
    reduction: readReduction(config['reduction_factor']),
    leaveOut: readLayers('leave_out', config['leave_out']) ?? [],
  }
}

/** Size of the bottleneck in a layer; null when the configuration leaves the layer open. */
export function bottleneckSize(config: BottleneckConfig, layer: number): number | null {
  const { reduction, outer } = config
  const { hidden } = outer
  const factor = typeof reduction === 'number' ? reduction : (reduction[String(layer)] ?? reduction['default'])
  // Floor division as Python does it: exact even where the quotient would round up to the next integer.
  return factor === undefined ? null : Math.max(1, Math.round((hidden - (hidden % factor)) / factor))
}

/**
 * What the modules read. With r the stream before the sublayer, y what it returned and h the module's input, the library makes the stream
 *
 *     parallel:    s·B(r) + y + (r if original_ln_after)
 *     sequential:  s·B(h) + (y if residual_before_ln else h) + (r if original_ln_after),  h = y + r if original_ln_before else y
 *
 * A branch adds s·B to y + r; so r must be in the sum exactly once.
 */
function readSites(config: JsonObject): Map<Location, ResidualKind> {
  const flag = (field: string): boolean => readFlag(field, config[field])
  const parallel = flag('is_parallel')
  const readsStream = flag('original_ln_before') && !parallel
  const addedByModule = readsStream && !flag('residual_before_ln')
  const addedAfter = flag('original_ln_after')
  if (addedByModule === addedAfter) {
    const found = `the residual stream would be added ${addedAfter ? 'twice' : 'not at all'}`
    throw fieldRefusal('unsupported_adapter', 'original_ln_after', addedAfter, found)
  }
  const place = parallel ? 'in' : readsStream ? 'stream' : 'out'
  const sites = new Map<Location, ResidualKind>()
  if (flag('mh_adapter')) sites.set('attention_adapters', `attn_${place}`)
  if (flag('output_adapter')) sites.set('output_adapters', `mlp_${place}`)
  if (sites.size === 0) {
    throw fieldRefusal('invalid_adapter', 'output_adapter', false, 'and "mh_adapter" is too: no module at all')
  }
  return sites
}

function readScaling(value: unknown): BottleneckConfig['scaling'] {
  return value === 'learned' || value === 'channel' ? value : readNumber('scaling', value)
}

function readReduction(value: unknown): BottleneckConfig['reduction'] {
  const read = (item: unknown): number => {
    const factor = readNumber('reduction_factor', item)
    if (factor <= 0) throw fieldRefusal('invalid_adapter', 'reduction_factor', factor, 'it must be positive')
    return factor
  }
  if (!isJsonObject(value)) return read(value)
  return Object.fromEntries(Object.entries(value).map(([layer, item]) => [layer, read(item)]))
}
