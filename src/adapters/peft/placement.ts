import { siteName } from '../../core/branch.ts'
import { TroupeError } from '../../core/errors.ts'
import type { ModelInfo } from '../../core/model-info.ts'
import type { Placement } from '../base-fit.ts'
import { checkPlace, checkSites } from '../base-fit.ts'
import type { BaseModule } from '../base-modules.ts'
import { fieldRefusal } from '../config-fields.ts'
import { findModule, modulePaths, namingsOf } from '../base-modules.ts'
import type { TunerConfig } from './fields.ts'
import { selectModules } from './targets.ts'

/** A module of the adapter with the module of the base model that it changes. */
export interface Placed<M> {
  readonly module: M
  readonly base: BaseModule
}

/**
 * Finds the modules of an adapter in the base model.
 *
 * @throws TroupeError `base_mismatch` or `unsupported_adapter` naming a tensor whose module the base model does not have
 */
export function placeModules<M extends { readonly path: string; readonly tensor: string }>(
  modules: readonly M[],
  info: ModelInfo,
): Placed<M>[] {
  return modules.map((module) => {
    const { path, tensor } = module
    const base = findModule(info, path)
    if (base === null) {
      if (info.otherParts?.some((start) => path.startsWith(start))) throw otherPart(path, tensor)
      const text = `tensor "${tensor}" is for the module ${path}, which this kind of base model does not have`
      throw new TroupeError('base_mismatch', text, { param: tensor })
    }
    for (const { kind } of base.parts) checkPlace({ layer: base.layer, kind, tensor }, info)
    return { module, base }
  })
}

/**
 * Checks that the adapter's modules are those that its configuration selects in this base model.
 *
 * @param fallback names that PEFT selects for a family when the configuration has none
 * @throws TroupeError `unsupported_adapter`, `base_mismatch` or `invalid_adapter` naming the tensor or field
 */
export function checkSelection(
  placed: readonly Placed<{ readonly path: string; readonly tensor: string }>[],
  { targets, fanInFanOut }: TunerConfig,
  info: ModelInfo,
  fallback: (family: string) => readonly string[] = () => [],
): void {
  if (fanInFanOut && !info.modules.some(({ transposed }) => transposed)) {
    const text = `adapter_config.json: "fan_in_fan_out" is true, but base models of the family ${info.family} have no such modules`
    throw new TroupeError('unsupported_adapter', text, { param: 'fan_in_fan_out' })
  }
  const paths = modulePaths(info, namingOf(placed, info))
  const expected = new Set<string>()
  for (const path of selectModules(targets, [...paths.keys()], fallback(info.family))) {
    const base = paths.get(path) ?? null
    if (base === null) throw notSupported(path, info)
    for (const { kind } of base.parts) expected.add(siteName(base.layer, kind))
  }
  checkSites(placed.flatMap(placementsOf), expected, info, (fault) => {
    const names = [...new Set(placed.map(({ module }) => module.path.replace(/.*\./, '')))].sort()
    const instead = `the tensors are for ${JSON.stringify(names)}`
    return fieldRefusal('invalid_adapter', 'target_modules', targets.given, `${fault}; ${instead}`)
  })
}

/** The naming that all modules share. @throws TroupeError `invalid_adapter` naming two that have none in common */
function namingOf(placed: readonly Placed<{ readonly path: string }>[], info: ModelInfo): number {
  let shared = namingsOf(info).map((_, i) => i)
  for (const { module, base } of placed) {
    const rest = shared.filter((naming) => base.namings.includes(naming))
    if (rest.length === 0) {
      const text = `the modules ${placed[0]!.module.path} and ${module.path} are named as in different models`
      throw new TroupeError('invalid_adapter', text, { param: 'target_modules' })
    }
    shared = rest
  }
  return shared[0]!
}

function placementsOf({ module, base }: Placed<{ readonly tensor: string }>): Placement[] {
  return base.parts.map(({ kind }) => ({ layer: base.layer, kind, tensor: module.tensor }))
}

function otherPart(path: string, tensor: string): TroupeError {
  const text =
    `tensor "${tensor}" is for ${path}, but only the text model is served, without its vision tower; ` +
    'train with "exclude_modules": ".*(vision_tower|multi_modal_projector).*"'
  return new TroupeError('unsupported_adapter', text, { param: tensor })
}

function notSupported(path: string, info: ModelInfo): TroupeError {
  const names = new Set(
    [...modulePaths(info, 0)].flatMap(([name, base]) => (base === null ? [] : name.replace(/.*\./, ''))),
  )
  const text = `adapter_config.json: "target_modules" selects ${path}; supported are ${[...names].join(', ')}`
  return new TroupeError('unsupported_adapter', text, { param: 'target_modules' })
}
