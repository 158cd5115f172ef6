import type { BaseWeights } from '../../core/base-weights.ts'
import type { EdgeKind } from '../../core/branch.ts'
import { TroupeError } from '../../core/errors.ts'
import type { ModelInfo } from '../../core/model-info.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'
import { findModule } from '../base-modules.ts'
import { fieldRefusal } from '../config-fields.ts'
import type { TokenRowsPlan } from '../plan.ts'
import type { Values } from '../values.ts'
import { changedRows } from './changed-rows.ts'
import type { TunerConfig } from './fields.ts'
import type { SavedCopy } from './tensors.ts'

/** Rows of one edge that are other than the base model's: where each is in a tensor, by token. */
interface EdgeRows {
  readonly tensor: string
  readonly rows: ReadonlyMap<number, number>
}

type Edges = Partial<Record<EdgeKind, EdgeRows>>

/**
 * What an adapter's file says about rows of embedding and head: trained tokens (`trainable_token_indices`), and whole copies, with as many
 * rows as the base model or more. Of a copy only rows count that differ from the base model's; of many copies none does.
 *
 * Where head and embedding are one matrix and only the embedding was saved, its rows are the head's too. Modules trained whole
 * (`modules_to_save`) are the exception: PEFT parts them from the head.
 *
 * @returns null where nothing differs
 * @throws TroupeError `unsupported_adapter` or `base_mismatch` naming a tensor that is another module or has other rows
 */
export function planTokenRows(
  copies: readonly SavedCopy[],
  config: Pick<TunerConfig, 'saved' | 'tokens' | 'keptTied'>,
  file: SafetensorsFile,
  info: ModelInfo,
  weights: BaseWeights,
): TokenRowsPlan | null {
  const edges: Edges = {}
  for (const copy of copies) {
    const kind = edgeOf(copy, info)
    if (edges[kind] !== undefined) {
      throw refusal('invalid_adapter', copy.tensor, `is for the same place as "${edges[kind].tensor}"`)
    }
    const rows = copy.tokensOnly
      ? trainedRows(copy, config, file, info)
      : changedRows(copy.tensor, kind, file, info, weights)
    edges[kind] = { tensor: copy.tensor, rows }
  }
  const tied = edges.lm_head === undefined && edges.embed_tokens !== undefined && weights.tiedHead()
  const apart =
    !config.keptTied &&
    config.saved.some((name) => copies.some(({ path, tokensOnly }) => !tokensOnly && endsIn(path, name)))
  if (tied && !apart) edges.lm_head = edges.embed_tokens!
  return planOf(edges, file, info, weights)
}

function planOf(edges: Edges, file: SafetensorsFile, info: ModelInfo, weights: BaseWeights): TokenRowsPlan | null {
  const { embed_tokens: embed, lm_head: head } = edges
  const ids = [...new Set([...(embed?.rows.keys() ?? []), ...(head?.rows.keys() ?? [])])].sort((a, b) => a - b)
  if (ids.length === 0) return null
  const fresh = ids.filter((id) => id >= info.vocab)
  const gap = fresh.find((id, i) => id !== info.vocab + i)
  const tensor = (embed ?? head)!.tensor
  if (gap !== undefined) {
    const text = `has a row for the token ${gap}: new tokens must follow on the base model's ${info.vocab} without a gap`
    throw refusal('base_mismatch', tensor, text)
  }
  const unread = fresh.find((id) => !embed?.rows.has(id))
  if (unread !== undefined) {
    throw refusal(
      'base_mismatch',
      tensor,
      `has a row for the token ${unread}, which the embedding in the file does not have`,
    )
  }
  const values = (kind: EdgeKind, edge: EdgeRows | undefined): Values | null => {
    if (edge === undefined || edge.rows.size === 0) return null
    const missing = fresh.find((id) => !edge.rows.has(id))
    if (missing === undefined) return rowValues(ids, kind, edge, file, info, weights)
    const text = `has no row for the new token ${missing}, which the embedding in the file has`
    throw refusal('base_mismatch', edge.tensor, text)
  }
  return { ids: Int32Array.from(ids), embed: values('embed_tokens', embed), head: values('lm_head', head) }
}

/** `[ids, hidden]`: rows of the file where it has them, else the base model's. */
function rowValues(
  ids: readonly number[],
  kind: EdgeKind,
  { tensor, rows }: EdgeRows,
  file: SafetensorsFile,
  { hidden }: ModelInfo,
  weights: BaseWeights,
): Values {
  return {
    count: ids.length * hidden,
    fill: (into) => {
      const base = weights.rows(0, kind)
      for (const [i, id] of ids.entries()) {
        const row = into.subarray(i * hidden, (i + 1) * hidden)
        const at = rows.get(id)
        if (at === undefined) base.readRows(row, id)
        else file.readF32(tensor, row, at * hidden)
        if (row.every(Number.isFinite)) continue
        throw refusal('invalid_adapter', tensor, `has a value in the row of token ${id} that is not finite`)
      }
    },
  }
}

function edgeOf({ path, tensor }: SavedCopy, info: ModelInfo): EdgeKind {
  const kind = findModule(info, path)?.parts[0]?.kind
  if (kind === 'embed_tokens' || kind === 'lm_head') return kind
  const text =
    'is a module saved whole (modules_to_save), which is supported for embedding and head only; train a LoRA on it'
  throw refusal('unsupported_adapter', tensor, text)
}

/** The rows of trained tokens are in the order of the configuration's list. */
function trainedRows(
  { path, tensor }: SavedCopy,
  { tokens }: Pick<TunerConfig, 'tokens'>,
  file: SafetensorsFile,
  info: ModelInfo,
): ReadonlyMap<number, number> {
  const ids = [...tokens].find(([name]) => name === '' || endsIn(path, name))?.[1]
  if (ids === undefined) {
    const why = `tensor "${tensor}" has rows of tokens, so it must list them`
    throw fieldRefusal('invalid_adapter', 'trainable_token_indices', undefined, why)
  }
  const { shape } = file.entry(tensor)
  if (shape.length !== 2 || shape[0] !== ids.length || shape[1] !== info.hidden || new Set(ids).size !== ids.length) {
    const text = `is [${shape.join(', ')}], for ${ids.length} tokens of the base model ${info.name} it must be [${ids.length}, ${info.hidden}]`
    throw refusal('base_mismatch', tensor, text)
  }
  return new Map(ids.map((id, row) => [id, row]))
}

function endsIn(path: string, name: string): boolean {
  return path === name || path.endsWith(`.${name}`)
}

function refusal(
  code: 'invalid_adapter' | 'unsupported_adapter' | 'base_mismatch',
  name: string,
  fault: string,
): TroupeError {
  return new TroupeError(code, `tensor "${name}" ${fault}`, { param: name })
}
