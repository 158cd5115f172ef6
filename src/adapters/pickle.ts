import { TroupeError } from '../core/errors.ts'

/**
 * Whether a file begins like a pickle or like the zip archive `torch.save` writes. A safetensors header of some lengths begins with the
 * same bytes, but has its `{` right after them.
 *
 * @param head the first bytes of the file, at least nine
 */
export function looksPickled(head: Uint8Array): boolean {
  const zip = head[0] === 0x50 && head[1] === 0x4b && head[2] === 3 && head[3] === 4
  const pickle = head[0] === 0x80 && head[1]! >= 2 && head[1]! <= 5
  return (zip || pickle) && head[8] !== 0x7b
}

/**
 * The refusal of a pickled file, with the line of Python that converts it. Tensors that share memory are written as copies, which safetensors
 * asks for. The file is opened first: by its name alone torch would take a pickle called `.safetensors` for what it is not.
 *
 * @param target name of the file to write, beside the pickle
 */
export function pickleRefusal(file: string, target: string): TroupeError {
  const convert =
    `import torch; from safetensors.torch import save_file; ` +
    `save_file({k: v.clone().contiguous() for k, v in torch.load(open('${file}', 'rb'), map_location='cpu', weights_only=True).items()}, '${target}', {'format': 'pt'})`
  const message = `${file} is a pickle, and reading one can run code. Convert it where you trust it: python -c "${convert}"`
  return new TroupeError('pickle_refused', message, { param: file })
}
