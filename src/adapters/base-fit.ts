import type { SiteKind } from '../core/branch.ts'
import { siteName } from '../core/branch.ts'
import { TroupeError } from '../core/errors.ts'
import type { ModelInfo } from '../core/model-info.ts'
import { hasSite, siteDims } from '../core/model-info.ts'
import type { BranchPlan } from './plan.ts'

/** A site that an adapter's tensor acts at. */
export interface Placement {
  readonly layer: number
  readonly kind: SiteKind
  readonly tensor: string
}

/**
 * Checks that the base model has the layer and the kind of site.
 *
 * @throws TroupeError `base_mismatch` or `unsupported_adapter` naming the site and the tensor
 */
export function checkPlace({ layer, kind, tensor }: Placement, info: ModelInfo): void {
  if (layer >= info.layers) {
    const text = `tensor "${tensor}" is for layer ${layer}, but the base model ${info.name} has ${info.layers} layers`
    throw mismatch(tensor, text)
  }
  if (hasSite(info, kind)) return
  const text = `tensor "${tensor}" is for ${siteName(layer, kind)}: base models of the family ${info.family} have no place for it`
  throw new TroupeError('unsupported_adapter', text, { param: tensor })
}

/**
 * Checks that every branch has a place of its sizes in this base model.
 *
 * @throws TroupeError `base_mismatch` or `unsupported_adapter` naming the site and the tensor
 */
export function checkFit(plans: readonly BranchPlan[], info: ModelInfo): void {
  for (const { layer, kind, inDim, outDim, names } of plans) {
    checkPlace({ layer, kind, tensor: names.down }, info)
    checkDims(siteName(layer, kind), siteDims(info, kind), [inDim, outDim], names, info)
  }
}

/**
 * Compares what a place of the base model maps with what the adapter was made for.
 *
 * @param names tensors to name for a wrong input and a wrong output
 * @throws TroupeError `base_mismatch`
 */
export function checkDims(
  place: string,
  [inBase, outBase]: readonly [number, number],
  [inDim, outDim]: readonly [number, number],
  names: BranchPlan['names'],
  info: ModelInfo,
): void {
  if (inDim === inBase && outDim === outBase) return
  const tensor = inDim === inBase ? names.up : names.down
  const text =
    `tensor "${tensor}": ${place} maps ${inBase} to ${outBase} values in the base model ${info.name}, ` +
    `the adapter was made for ${inDim} to ${outDim}`
  throw mismatch(tensor, text)
}

/** Says that the selection of a configuration and the tensors beside it differ. */
type Disagreement = (fault: string, param: string) => TroupeError

/**
 * Checks that an adapter acts at the sites that its configuration asks for in this base model.
 *
 * @param expected names of all these sites
 * @param disagreement names the field that selects them
 * @throws TroupeError `base_mismatch` when the adapter ends before the base model's layers do, else `invalid_adapter`
 */
export function checkSites(
  placements: readonly Placement[],
  expected: ReadonlySet<string>,
  info: ModelInfo,
  disagreement: Disagreement = disagree,
): void {
  const present = new Set(placements.map(({ layer, kind }) => siteName(layer, kind)))
  const extra = placements.find(({ layer, kind }) => !expected.has(siteName(layer, kind)))
  if (extra !== undefined) {
    throw disagreement(`tensor "${extra.tensor}" is for a module that it does not select`, extra.tensor)
  }
  const last = Math.max(...placements.map(({ layer }) => layer))
  for (const site of expected) {
    if (present.has(site)) continue
    if (Number(site.split('.')[1]) > last) {
      throw mismatch(site, `the adapter ends at layer ${last}, the base model ${info.name} has ${info.layers} layers`)
    }
    throw disagreement(`it selects ${site}, but no tensors are for it`, site)
  }
}

function disagree(fault: string, param: string): TroupeError {
  return new TroupeError('invalid_adapter', `adapter_config.json: ${fault}`, { param })
}

function mismatch(param: string, message: string): TroupeError {
  return new TroupeError('base_mismatch', message, { param })
}
