import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Type } from 'typebox'
import type { TokenRows } from '../core/branch.ts'
import { TroupeError } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import { isJsonObject, parseJsonObject } from '../core/json.ts'
import type { AddedToken, OwnTokens } from '../core/own-tokens.ts'
import { Shape } from '../core/shape.ts'
import { tokenContent } from '../text/model-files.ts'

/** What an adapter's tokenizer files add to the base model's, stored beside its weights. */
export const TOKENS_FILE = 'tokens.json'
/** Where an upload's tokenizer files are until they were compared with the base model's. */
export const TOKENIZER_FOLDER = '.tokenizer'
/** Those of them that say something about tokens. */
export const TOKENIZER_FILES: readonly string[] = ['tokenizer.json', 'tokenizer_config.json', 'added_tokens.json']

/** Most tokens that one adapter may add; more would be another tokenizer. */
const MAX_ADDED = 1_000
const MAX_CONTENT = 256

const Id = Type.Integer({ minimum: 0 })
const Flag = Type.Boolean()
const Flags = { special: Flag, singleWord: Flag, lstrip: Flag, rstrip: Flag, normalized: Flag }
const Token = Type.Object({ id: Id, content: Type.String({ minLength: 1, maxLength: MAX_CONTENT }), ...Flags })

/** The stored form: what was found, whether or not there are rows for it. */
const storedShape = new Shape(
  Type.Object({ added: Type.Array(Token, { maxItems: MAX_ADDED }), ends: Type.Array(Id) }),
  TOKENS_FILE,
)

export type FoundTokens = Pick<OwnTokens, 'added' | 'ends'>

/** What is asked about the base model's tokens. */
export interface BaseTokens {
  readonly eosIds: readonly number[]
  idOf(content: string): number | null
  contentOf(id: number): string | null
}

/**
 * Compares an upload's tokenizer files with the base model's tokens and leaves what they add in their place.
 *
 * @param dir folder of the upload
 * @throws TroupeError `invalid_adapter` for files that cannot be read, `unsupported_adapter` for more tokens than are taken
 */
export async function settleTokens(dir: string, base: () => Promise<BaseTokens>): Promise<void> {
  const folder = join(dir, TOKENIZER_FOLDER)
  if (!existsSync(folder)) return
  const [definition, config, plain] = TOKENIZER_FILES.map((name) => readTokenizerFile(join(folder, name), name))
  const listed = listedTokens(definition ?? null, config ?? null, plain ?? null)
  const found = beyondBase(listed, config?.eos_token, await base())
  if (found.added.length > MAX_ADDED) {
    const text = `the tokenizer adds ${found.added.length} tokens to the base model's, at most ${MAX_ADDED} are taken: train with the base model's tokenizer`
    throw new TroupeError('unsupported_adapter', text, { param: 'tokenizer.json' })
  }
  rmSync(folder, { recursive: true })
  if (found.added.length > 0 || found.ends.length > 0) writeFileSync(join(dir, TOKENS_FILE), JSON.stringify(found))
}

/** What was found when a version was taken; null = nothing. @throws TroupeError `invalid_adapter` for a file that was altered */
export function readFoundTokens(dir: string): FoundTokens | null {
  const path = join(dir, TOKENS_FILE)
  if (!existsSync(path)) return null
  return storedShape.check(
    parseJsonObject(readFileSync(path, 'utf8'), TOKENS_FILE, 'invalid_adapter'),
    'invalid_adapter',
  )
}

/**
 * The tokens that act: those with a row in the base model or in the adapter.
 *
 * @param vocab rows of the base model's embedding
 * @returns null where the adapter has none of its own; and a warning for those that have no row
 */
export function ownTokens(
  found: FoundTokens | null,
  vocab: number,
  tokenRows: Pick<TokenRows, 'ids'> | null,
): { readonly tokens: OwnTokens | null; readonly warnings: readonly string[] } {
  const rows = tokenRows?.ids.filter((id) => id >= vocab).length ?? 0
  const known = ({ id }: AddedToken): boolean => id < vocab + rows
  const added = found?.added.filter(known) ?? []
  const ends = found?.ends.filter((id) => id < vocab + rows) ?? []
  const lost = found?.added.filter((token) => !known(token)) ?? []
  const shown = lost.slice(0, 5).map(({ content, id }) => `${JSON.stringify(content)} (${id})`)
  const warnings =
    lost.length === 0
      ? []
      : [
          `the tokenizer beside the adapter adds ${shown.join(', ')}${lost.length > 5 ? ' …' : ''}, for which there is no row in the embedding: ` +
            'in prompts and answers they stay plain text',
        ]
  return { tokens: rows === 0 && added.length === 0 && ends.length === 0 ? null : { rows, added, ends }, warnings }
}

/** Of the tokens in an adapter's tokenizer those that the base model has not, or has under another text. */
function beyondBase(listed: readonly AddedToken[], eos: unknown, base: BaseTokens): FoundTokens {
  const added = listed.filter(({ id, content }) => base.contentOf(id) !== content && base.idOf(content) === null)
  const ending = tokenContent(eos)
  const end = ending === null ? null : (added.find(({ content }) => content === ending)?.id ?? base.idOf(ending))
  return { added, ends: end === null || base.eosIds.includes(end) ? [] : [end] }
}

/** All added tokens that the files list, by id: `tokenizer.json` says most, older files say less. */
function listedTokens(
  definition: JsonObject | null,
  config: JsonObject | null,
  plain: JsonObject | null,
): readonly AddedToken[] {
  const tokens = new Map<number, AddedToken>()
  const add = (id: unknown, fields: JsonObject): void => {
    const { content, special = false } = fields
    if (typeof id !== 'number' || !Number.isSafeInteger(id) || id < 0 || tokens.has(id)) return
    if (typeof content !== 'string' || content === '' || content.length > MAX_CONTENT) return
    const flag = (name: string, fallback = false): boolean => (fields[name] ?? fallback) === true
    tokens.set(id, {
      ...{ id, content, special: special === true, singleWord: flag('single_word') },
      ...{ lstrip: flag('lstrip'), rstrip: flag('rstrip'), normalized: flag('normalized', special !== true) },
    })
  }
  const list = definition?.added_tokens
  if (Array.isArray(list)) for (const one of list) if (isJsonObject(one)) add(one.id, one)
  const decoder = config?.added_tokens_decoder
  if (isJsonObject(decoder))
    for (const [id, one] of Object.entries(decoder)) if (isJsonObject(one)) add(Number(id), one)
  for (const [content, id] of Object.entries(plain ?? {})) add(id, { content })
  return [...tokens.values()].sort((a, b) => a.id - b.id)
}

function readTokenizerFile(path: string, name: string): JsonObject | null {
  if (!existsSync(path)) return null
  return parseJsonObject(readFileSync(path, 'utf8'), name, 'invalid_adapter', name)
}
