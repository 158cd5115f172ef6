import { TroupeError } from '../core/errors.ts'
import type { ModelInfo } from '../core/model-info.ts'
import { hasSite, siteDims } from '../core/model-info.ts'
import { siteName } from '../core/branch.ts'
import type { BranchPlan } from './branch-plan.ts'

/**
 * Checks that every branch has a place in this base model.
 *
 * @throws TroupeError `base_mismatch` naming the site and the tensor
 */
export function checkFit(plans: readonly BranchPlan[], info: ModelInfo): void {
  for (const plan of plans) {
    if (plan.layer >= info.layers) {
      const text = `tensor "${plan.down}" is for layer ${plan.layer}, but the base model ${info.name} has ${info.layers} layers`
      throw mismatch(plan.down, text)
    }
    if (!hasSite(info, plan.kind)) {
      const text = `tensor "${plan.down}" is for ${siteName(plan.layer, plan.kind)}: base models of the family ${info.family} have no place for it`
      throw new TroupeError('unsupported_adapter', text, { param: plan.down })
    }
    const [inDim, outDim] = siteDims(info, plan.kind)
    if (plan.inDim === inDim && plan.outDim === outDim) continue
    const tensor = plan.inDim === inDim ? plan.up : plan.down
    const text =
      `tensor "${tensor}": ${siteName(plan.layer, plan.kind)} maps ${inDim} to ${outDim} values in the base model ${info.name}, ` +
      `the adapter was made for ${plan.inDim} to ${plan.outDim}`
    throw mismatch(tensor, text)
  }
}

/**
 * Checks that the branches are those that the configuration asks for in this base model.
 *
 * @param expected names of all sites the configuration puts a branch at
 * @throws TroupeError `base_mismatch` when the adapter ends before the base model's layers do, else `invalid_adapter`
 */
export function checkSites(plans: readonly BranchPlan[], expected: ReadonlySet<string>, info: ModelInfo): void {
  const present = new Set(plans.map((plan) => siteName(plan.layer, plan.kind)))
  const extra = plans.find((plan) => !expected.has(siteName(plan.layer, plan.kind)))
  if (extra !== undefined) {
    const text = `tensor "${extra.down}" is for a module that adapter_config.json does not select`
    throw new TroupeError('invalid_adapter', text, { param: extra.down })
  }
  const last = Math.max(...plans.map((plan) => plan.layer))
  for (const site of expected) {
    if (present.has(site)) continue
    if (Number(site.split('.')[1]) > last) {
      throw mismatch(site, `the adapter ends at layer ${last}, the base model ${info.name} has ${info.layers} layers`)
    }
    throw new TroupeError('invalid_adapter', `adapter_config.json selects ${site}, but no tensors are for it`, {
      param: site,
    })
  }
}

function mismatch(param: string, message: string): TroupeError {
  return new TroupeError('base_mismatch', message, { param })
}
