import { TroupeError } from '../core/errors.ts'
import type { AdapterFiles } from './files.ts'
import { CONFIG_FILE, WEIGHT_FILES } from './files.ts'
import { pickleRefusal } from './pickle.ts'

const EXPECTED = `${WEIGHT_FILES.peft} (PEFT), ${WEIGHT_FILES.adapterhub} (AdapterHub) or ${WEIGHT_FILES.mlx} (MLX)`
const HEAD_FILES: readonly string[] = ['head_config.json', 'model_head.safetensors']

/** Why the weights are not there, by the file that is there instead; the first that matches is named. */
const INSTEAD_OF_WEIGHTS: readonly (readonly [RegExp, (name: string) => TroupeError])[] = [
  [/^adapter_model\.(bin|pt|pth|ckpt)$/i, (name) => pickleRefusal(name, WEIGHT_FILES.peft)],
  [/^(pytorch_adapter|adapter)\.(bin|pt|pth|ckpt)$/i, (name) => pickleRefusal(name, WEIGHT_FILES.adapterhub)],
  [/^adapters\.npz$/i, mlx],
  [/^(adapter_model|adapter)-\d+-of-\d+\.safetensors$/i, sharded],
  [/\.gguf$/i, gguf],
  [/^(model|pytorch_model|consolidated)\b.*\.(safetensors|bin|pth)$/i, wholeModel],
  [/\.safetensors$/i, otherName],
]

/**
 * Recognises an adapter by the names of its files. What else lies in the folder does not matter: trainers leave a lot there.
 *
 * @param checkpoints folders in it that hold an adapter of their own, to be named where this one does not
 * @throws TroupeError `pickle_refused` where the weights are there only as a pickle, `unsupported_adapter` for prediction heads and
 * other formats, `invalid_adapter` for a missing file
 */
export function recogniseFiles(names: readonly string[], checkpoints: readonly string[] = []): AdapterFiles {
  const formats = (['peft', 'adapterhub'] as const).filter((format) => names.includes(WEIGHT_FILES[format]))
  // What was converted lies beside what it was converted from.
  const format = formats[0] ?? (names.includes(WEIGHT_FILES.mlx) ? 'mlx' : undefined)
  if (format === undefined || !names.includes(CONFIG_FILE)) throw unusableFiles(names, checkpoints)
  if (formats.length > 1) {
    const both = `both ${WEIGHT_FILES.peft} and ${WEIGHT_FILES.adapterhub} are there: give one adapter at a time`
    throw invalid(WEIGHT_FILES.adapterhub, both)
  }
  const head = format === 'adapterhub' ? names.find((name) => HEAD_FILES.includes(name)) : undefined
  if (head !== undefined) {
    const fix = 'save the adapter with with_head=False'
    throw new TroupeError('unsupported_adapter', `${head}: prediction heads are not supported; ${fix}`, { param: head })
  }
  return { format, weights: WEIGHT_FILES[format] }
}

/**
 * Says why a folder is no adapter, and what to do about it.
 *
 * @param checkpoints folders in it that hold an adapter
 */
function unusableFiles(names: readonly string[], checkpoints: readonly string[]): TroupeError {
  const inner = checkpoints.length === 0 ? '' : `; ${listed(checkpoints)}: to take that adapter, give its own folder`
  if (names.some((name) => Object.values(WEIGHT_FILES).includes(name))) {
    const text = `${CONFIG_FILE} is missing: PEFT’s and AdapterHub’s save methods write it beside the weights`
    return invalid(CONFIG_FILE, text + inner)
  }
  for (const [pattern, explain] of INSTEAD_OF_WEIGHTS) {
    const name = names.find((one) => pattern.test(one))
    if (name === undefined) continue
    const error = explain(name)
    return inner === '' ? error : new TroupeError(error.code, error.message + inner, { param: name })
  }
  if (names.includes(CONFIG_FILE)) return invalid(WEIGHT_FILES.peft, `the weights are missing: ${EXPECTED}${inner}`)
  return invalid(
    CONFIG_FILE,
    `${CONFIG_FILE} and the weights are missing: an adapter is ${CONFIG_FILE} and ${EXPECTED}${inner}`,
  )
}

function mlx(name: string): TroupeError {
  const text =
    `${name} is of an old release of MLX (mlx_lm), which did not say with which scale it was trained. Train with a current one: it saves ` +
    `${CONFIG_FILE} and ${WEIGHT_FILES.mlx}, which are taken`
  return new TroupeError('unsupported_adapter', text, { param: name })
}

function gguf(name: string): TroupeError {
  const text = `${name} is a GGUF file. Use the PEFT folder that it was converted from: ${CONFIG_FILE} and adapter_model.safetensors`
  return new TroupeError('unsupported_adapter', text, { param: name })
}

function sharded(name: string): TroupeError {
  return invalid(
    name,
    `${name} is one of several files of weights. Load the adapter with its library and save it as one file`,
  )
}

function wholeModel(name: string): TroupeError {
  const text =
    `${name} is a whole model, not an adapter. Serve it as the base model (--model), or give the folder with ` +
    `${CONFIG_FILE} and adapter_model.safetensors that the training saved before it merged`
  return new TroupeError('unsupported_adapter', text, { param: name })
}

function otherName(name: string): TroupeError {
  return invalid(name, `the weights are missing: ${EXPECTED}. If ${name} holds them, rename it`)
}

function listed(folders: readonly string[]): string {
  const shown = folders.slice(0, 3).map((name) => `${name}/`)
  return `${shown.join(', ')}${folders.length > 3 ? ' …' : ''} in it ${folders.length === 1 ? 'holds' : 'hold'} an adapter`
}

function invalid(param: string, message: string): TroupeError {
  return new TroupeError('invalid_adapter', message, { param })
}
