import type { AdapterFormat } from '../adapters/files.ts'
import { CONFIG_FILE } from '../adapters/files.ts'
import { recogniseFiles } from '../adapters/recognise.ts'

/** A file in a folder, an archive or a form. */
export interface FolderEntry {
  /** With `/` between folders, from the outermost on: `out/checkpoint-500/adapter_config.json`. */
  readonly path: string
  readonly bytes: number
}

/** What was made of a folder: the same for a folder on disk, an archive and an upload. */
export interface FolderReport {
  readonly format: AdapterFormat
  readonly took: readonly { readonly file: string; readonly bytes: number }[]
  /** A folder stands for all its files. */
  readonly ignored: readonly { readonly file: string; readonly reason: string }[]
  readonly warnings: readonly string[]
}

/** Most entries of a report's list; one more says how many there are beyond. */
const MAX_IGNORED = 100

/** What trainers and libraries write beside an adapter, by the names that they give. */
const REASONS: readonly (readonly [RegExp, string])[] = [
  [/^(README|LICENSE|NOTICE|USE_POLICY)\b/i, 'documentation'],
  [
    /^(tokenizer\.json|tokenizer_config\.json|added_tokens\.json)$/i,
    'of its tokens those are taken that the base model has not, and what ends an answer',
  ],
  [
    /^(tokenizer|special_tokens_map|vocab\.|merges\.|preprocessor_|processor_|chat_template)|\.(model|jinja)$/i,
    'the base model’s own tokenizer and chat template are used',
  ],
  [/^(adapter_model|pytorch_adapter|adapter)\.(bin|pt|pth)$/i, 'the weights are taken from the safetensors file'],
  [/^(adapters\.safetensors|.*\.gguf)$/i, 'the same weights in another format'],
  [/^\d{7}_adapters\.safetensors$/i, 'weights of an earlier step of the training'],
  [/^adapter_interface\.json$/i, 'what AdapterHub needs for models that it does not know'],
  [
    /^(optimizer|scheduler|scaler|rng_state|training_args|trainer_|train_results|eval_results|all_results|predict_results|global_step|latest$|zero_to_fp32|checkpoint-)/i,
    'state of the training',
  ],
  [
    /^(runs|logs|wandb|mlruns|events\.out\.tfevents|training_loss|.*\.(log|png|ya?ml|csv)$)/i,
    'records of the training',
  ],
  [/^(model|pytorch_model|config|generation_config)\b.*\.(json|safetensors|bin)$/i, 'belongs to a whole model'],
  [/^\./, 'hidden'],
]
/** What transformers calls the folders of its checkpoints. */
const CHECKPOINT_FOLDER = /^checkpoint-\d+$/
const CHECKPOINT = 'a checkpoint of the training: give its own folder to take it instead'

/**
 * Chooses an adapter's own two files among all files of a folder and says of every other why it is not taken. Adapters in folders further in,
 * such as a trainer's checkpoints, are never taken in its stead.
 *
 * @throws TroupeError as `recogniseFiles`, naming such adapters
 */
export function reportFolder(entries: readonly FolderEntry[]): FolderReport {
  const own: FolderEntry[] = []
  const inner = new Map<string, string[]>()
  for (const { path, bytes } of entries) {
    if (isLitter(path)) continue
    const slash = path.indexOf('/')
    if (slash < 0) own.push({ path, bytes })
    else inner.set(path.slice(0, slash), [...(inner.get(path.slice(0, slash)) ?? []), path.slice(slash + 1)])
  }
  const checkpoints = [...inner].filter(([, names]) => names.includes(CONFIG_FILE)).map(([folder]) => folder)
  const names = own.map(({ path }) => path)
  const { format, weights } = recogniseFiles(names, checkpoints)
  const taken = [CONFIG_FILE, weights]
  const took = taken.map((file) => ({ file, bytes: own.find(({ path }) => path === file)!.bytes }))
  const left = names.filter((name) => !taken.includes(name)).map((file) => ({ file, reason: reasonFor(file) }))
  const folders = [...inner.keys()].map((folder) => {
    return { file: `${folder}/`, reason: checkpoints.includes(folder) ? CHECKPOINT : reasonFor(folder) }
  })
  return { format, took, ignored: bounded([...left, ...folders]), warnings: [] }
}

/**
 * The folder that all of these are in: `out/`, or '' where they share none. A trainer's checkpoint counts only where it is the outermost
 * folder, since nobody who sends the folder around it has chosen it.
 */
export function commonFolder(entries: readonly FolderEntry[]): string {
  const [first, ...others] = entries
    .filter(({ path }) => !isLitter(path))
    .map(({ path }) => path.split('/').slice(0, -1))
  if (first === undefined) return ''
  let depth = first.length
  for (const folders of others) {
    let same = 0
    while (same < depth && folders[same] === first[same]) same++
    depth = same
  }
  const inside = first.slice(1, depth).findIndex((name) => CHECKPOINT_FOLDER.test(name))
  return first
    .slice(0, inside < 0 ? depth : inside + 1)
    .map((part) => `${part}/`)
    .join('')
}

/** What systems add to folders and archives by themselves. */
function isLitter(path: string): boolean {
  return /(^|\/)(__MACOSX\/|\._|\.DS_Store$|Thumbs\.db$)/.test(path)
}

function reasonFor(name: string): string {
  return REASONS.find(([pattern]) => pattern.test(name))?.[1] ?? 'no part of an adapter'
}

function bounded(ignored: FolderReport['ignored']): FolderReport['ignored'] {
  const sorted = [...ignored].sort((a, b) => (a.file < b.file ? -1 : 1))
  if (sorted.length <= MAX_IGNORED) return sorted
  const rest = { file: '…', reason: `${sorted.length - MAX_IGNORED} more files and folders` }
  return [...sorted.slice(0, MAX_IGNORED), rest]
}
