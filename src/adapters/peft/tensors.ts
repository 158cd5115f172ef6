import { TroupeError } from '../../core/errors.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'

/** What PEFT puts before every path, once more for every time that it wrapped the model. */
const WRAPPER = 'base_model.model.'
const WRAPPERS = /^(?:base_model\.model\.)+/

/** The tensors of one module of the base model. */
export interface ModuleTensors<Part extends string> {
  /** Path in the model that the adapter was saved from: `model.layers.3.self_attn.q_proj`. */
  readonly path: string
  /** Tensor names. */
  readonly parts: Readonly<Partial<Record<Part, string>>>
  /** One of them, to name the module by. */
  readonly tensor: string
}

/** Rows of a module of the base model that were saved with the adapter: all of them, or those of some tokens. */
export interface SavedCopy {
  readonly path: string
  readonly tensor: string
  /** The tensor has the rows of the trained tokens only. */
  readonly tokensOnly: boolean
}

/** Where PEFT keeps the rows of trained tokens. */
const TOKEN_ROWS = /^(.+?)(?:\.token_adapter)?\.trainable_tokens_delta(?:\.default)?$/

/** Tensors of other features of PEFT, with the field that switches each off. */
const OTHER_FEATURES: readonly (readonly [RegExp, string])[] = [
  [/lora_magnitude_vector/, 'DoRA (use_dora)'],
  [/lora_embedding_[AB]/, 'LoRA on the embedding (target_modules)'],
  [/lora_B\.(default\.)?bias$/, 'a bias of the LoRA itself (lora_bias)'],
  [/\.bias$/, 'trained biases of the base model (bias)'],
]

/**
 * Every tensor of the file, by module.
 *
 * @param suffixes what follows the module's path in the names of its parts; PEFT may put `.default` behind the parameter
 * @param method what the parts are of, for messages
 * @throws TroupeError `unsupported_adapter` or `invalid_adapter` naming the first tensor that is no such part
 */
export function collectModules<Part extends string>(
  file: SafetensorsFile,
  suffixes: readonly (readonly [string, Part])[],
  method: string,
  names: Iterable<string> = file.tensors.keys(),
): { modules: ModuleTensors<Part>[]; copies: SavedCopy[] } {
  const modules = new Map<string, { [P in Part]?: string }>()
  const copies: SavedCopy[] = []
  const known = suffixes.map(([suffix, part]) => [suffixPattern(suffix), part] as const)
  for (const name of [...names].sort()) {
    const inner = WRAPPERS.test(name) ? name.replace(WRAPPERS, '') : null
    const match = inner === null ? null : firstMatch(inner, known)
    if (match === null) {
      const rows = inner === null ? null : TOKEN_ROWS.exec(inner)
      if (rows !== null) {
        copies.push({ path: rows[1]!, tensor: name, tokensOnly: true })
        continue
      }
      const copied = inner === null ? null : /^(.+?)(?:\.base_layer)?\.weight$/.exec(inner)
      const foreign = OTHER_FEATURES.find(([pattern]) => pattern.test(name))
      if (foreign !== undefined)
        throw refusal(name, `belongs to ${foreign[1]}, which adapter_config.json does not ask for`)
      if (copied === null || /\.(lora_|hada_|lokr_|vera_|ia3_)/.test(name))
        throw refusal(name, strangeness(name, method))
      copies.push({ path: copied[1]!, tensor: name, tokensOnly: false })
      continue
    }
    const [path, part] = match
    const parts: { [P in Part]?: string } = modules.get(path) ?? {}
    if (parts[part] !== undefined) {
      const text = `tensors "${parts[part]}" and "${name}" are for the same place`
      throw new TroupeError('invalid_adapter', text, { param: name })
    }
    parts[part] = name
    modules.set(path, parts)
  }
  if (modules.size === 0 && suffixes.length > 0) {
    throw new TroupeError('invalid_adapter', `${file.file} holds no tensors of ${method}`, { param: file.file })
  }
  const found = [...modules].map(([path, parts]) => ({
    path,
    parts,
    tensor: Object.values<string | undefined>(parts)[0]!,
  }))
  return { modules: found, copies }
}

/** A part that must be there. @throws TroupeError `invalid_adapter` naming the tensor it should be beside */
export function requirePart<Part extends string>({ parts, tensor }: ModuleTensors<Part>, part: Part): string {
  const name = parts[part]
  if (name !== undefined) return name
  throw new TroupeError('invalid_adapter', `tensor "${tensor}" has no ${part} beside it`, { param: tensor })
}

function suffixPattern(suffix: string): RegExp {
  const [parameter, rest = ''] = suffix.split(/(?=\.(?:weight|bias)$)/) as [string, string?]
  return new RegExp(`^(.+)\\.${parameter}(?:\\.default)?${rest.replace('.', '\\.')}$`)
}

function firstMatch<Part>(name: string, known: readonly (readonly [RegExp, Part])[]): readonly [string, Part] | null {
  for (const [pattern, part] of known) {
    const match = pattern.exec(name)
    if (match !== null) return [match[1]!, part]
  }
  return null
}

function strangeness(name: string, method: string): string {
  if (name.startsWith(WRAPPER)) return `is no part of ${method}: another method, or another format`
  return `is no part of ${method}: the names that PEFT writes begin with "${WRAPPER}", and PEFT ignores others when it loads`
}

function refusal(name: string, fault: string): TroupeError {
  return new TroupeError('unsupported_adapter', `tensor "${name}" ${fault}`, { param: name })
}
