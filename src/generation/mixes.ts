import type { Resolution, ResolvedAdapter } from '../catalogue/records.ts'
import type { TaskRecord } from '../catalogue/task.ts'
import { TroupeError } from '../core/errors.ts'
import type { Caller } from '../tenancy/roles.ts'
import type { GenerationParts } from './ports.ts'
import { resolveTarget, versionName } from './target.ts'
import type { MixWish } from './target.ts'

/** What always means the bare base model, whatever it is called. */
export const BASE_MIX = 'base'

/** One of several mixes that a request names side by side. */
export interface NamedMix extends Pick<MixWish, 'adapters' | 'stack'> {
  /** `base`, a task, or an adapter `name`, `name@v3`; instead of `adapters`. */
  readonly model?: string | null
  readonly label?: string | null
}

/** A mix pinned to its versions, under the name it is shown with. */
export interface PinnedMix {
  readonly label: string
  readonly adapters: readonly ResolvedAdapter[]
  readonly stack: boolean
}

/**
 * Pins each mix now.
 *
 * @throws TroupeError what the catalogue says about names that cannot be served; its `param` begins with the mix, as in `mixes[2].model`
 */
export function pinMixes(
  { catalogue, engine }: Pick<GenerationParts, 'catalogue' | 'engine'>,
  caller: Caller,
  mixes: readonly NamedMix[],
): PinnedMix[] {
  return mixes.map((mix, index) => {
    const { model, adapters, stack = false } = mix
    const at = (field: string): string => `mixes[${index}].${field}`
    if ((model ?? null) !== null && (adapters ?? null) !== null)
      throw new TroupeError('invalid_request', `\`${at('model')}\` and \`${at('adapters')}\`: send one of them`, {
        param: at('model'),
      })
    if ((model ?? null) === null && (adapters ?? null) === null)
      throw new TroupeError('invalid_request', `\`mixes[${index}]\` names no \`model\` and no \`adapters\``, {
        param: at('model'),
      })
    const named = model === null || model === undefined || model === BASE_MIX ? engine.info.name : model
    const listed = model === BASE_MIX ? [] : adapters
    try {
      const resolution = resolveTarget(catalogue, caller, { model: named }, { adapters: listed, stack })
      return { label: mix.label ?? labelOf(resolution), adapters: resolution.adapters, stack: resolution.stack }
    } catch (error) {
      if (!(error instanceof TroupeError)) throw error
      const param = at(model === null || model === undefined ? 'adapters' : 'model')
      throw new TroupeError(error.code, `\`mixes[${index}]\`: ${error.message}`, { param, cause: error })
    }
  })
}

/** What a request with one of several mixes runs with; prompt and defaults are the task's. */
export function resolutionOf({ adapters, stack }: PinnedMix, task: TaskRecord | null): Resolution {
  return { task, adapters, stack, shadow: null }
}

function labelOf({ adapters }: Pick<Resolution, 'adapters'>): string {
  const members = adapters.map(({ adapter, version, scale }) => {
    return `${adapter}@${versionName(version)}${scale === 1 ? '' : ` × ${scale}`}`
  })
  return members.join(' + ') || BASE_MIX
}
