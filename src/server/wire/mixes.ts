import { Type } from 'typebox'
import type { Static } from 'typebox'
import type { Catalogue } from '../../catalogue/catalogue.ts'
import type { NamedMix, PinnedMix } from '../../generation/mixes.ts'
import { versionName } from '../../generation/target.ts'
import { Maybe, Strict } from './common.ts'
import { AdapterRef, mixWish } from './sampling.ts'

export const MAX_MIXES = 16

/** One of several mixes as clients write it. */
const MixSchema = Strict(
  {
    model: Maybe(
      Type.String({ minLength: 1, maxLength: 300, description: '`base`, a task, or an adapter: `name`, `name@v3`.' }),
    ),
    adapters: Maybe(Type.Array(AdapterRef, { maxItems: 16, description: 'Instead of `model`; empty = the base.' })),
    composition: Maybe(Type.Enum(['sum', 'stack'], { description: 'As in the generation routes.' })),
    label: Maybe(Type.String({ minLength: 1, maxLength: 100, description: 'Default: the versions it is made of.' })),
  },
  { title: 'Mix', description: 'Exactly one of `model` and `adapters`.' },
)

export const MixesSchema = Type.Array(MixSchema, { minItems: 1, maxItems: MAX_MIXES })

/** A mix as generation reads it. */
export function namedMix({ model, label, adapters, composition }: Static<typeof MixSchema>): NamedMix {
  return { model, label, ...mixWish({ adapters, composition }) }
}

/** A mix as answers show it. */
export const PinnedMixSchema = Strict(
  {
    index: Type.Integer(),
    label: Type.String(),
    adapters: Type.Array(
      Strict({
        name: Type.String(),
        version: Type.String({ description: '`v1`, `v2` …' }),
        digest: Type.String(),
        scale: Type.Number(),
      }),
    ),
    bytes: Type.Integer({ description: 'Memory that its adapters take.' }),
    trained_parameters: Type.Integer({ description: 'Parameters of its adapters.' }),
  },
  { title: 'PinnedMix' },
)

/** @param catalogue knows the versions' sizes; what was deleted meanwhile counts nothing */
export function pinnedMixBody(
  { label, adapters }: PinnedMix,
  index: number,
  { state }: Pick<Catalogue, 'state'>,
): Static<typeof PinnedMixSchema> {
  const versions = adapters.flatMap(({ adapter, version }) => state.byNumber(adapter, version) ?? [])
  return {
    index,
    label,
    adapters: adapters.map(({ adapter, version, digest, scale }) => {
      return { name: adapter, version: versionName(version), digest, scale }
    }),
    bytes: versions.reduce((sum, { bytes }) => sum + bytes, 0),
    trained_parameters: versions.reduce((sum, { parameters }) => sum + parameters, 0),
  }
}
