import type { InferenceSession } from 'onnxruntime-node'
import type { Tensor } from 'onnxruntime-node'
import { IO } from '../model/graph/spec.ts'

type Feeds = Readonly<Record<string, Tensor>>

/** What the binding throws when it comes to the first output: the run is over by then, and nothing was copied out yet. */
const AFTER_THE_RUN = 'Non tensor type is temporarily not supported.'

/**
 * Runs a session so that outputs are written into the given tensors and nowhere else.
 *
 * The binding copies every fetched output once more after the run, the whole KV capacity on every step. Our graphs have an empty sequence
 * as output 0; the binding refuses sequences, in order of outputs, before its first copy. That exact refusal is the success here.
 * It leans on undocumented behaviour of the pinned release: `writesInPlace` proves it at every start.
 */
export async function runInPlace(session: InferenceSession, feeds: Feeds, outputs: Feeds): Promise<void> {
  try {
    await session.run(feeds, { [IO.done]: null, ...outputs })
  } catch (error) {
    if (error instanceof Error && error.message === AFTER_THE_RUN) return
    throw error
  }
  throw new Error('ONNX Runtime returned a sequence output: this release copies, in-place runs are off')
}

/** Compares an in-place run with an ordinary one on the same feeds. False = use ordinary runs. */
export async function writesInPlace(
  session: InferenceSession,
  feeds: () => Feeds,
  outputs: () => Feeds,
): Promise<boolean> {
  const expected = await session.run(feeds(), Object.keys(outputs()))
  const written = outputs()
  try {
    // The past must be the present's memory, as in every real call.
    const past = Object.entries(written).flatMap(([name, tensor]) =>
      name.startsWith('present.') ? [[name.replace('present.', 'past.'), tensor] as const] : [],
    )
    await runInPlace(session, { ...feeds(), ...Object.fromEntries(past) }, written)
  } catch {
    return false
  }
  return Object.entries(written).every(([name, tensor]) => sameNumbers(tensor, expected[name]!))
}

function sameNumbers(a: Tensor, b: Tensor): boolean {
  const left = a.data as Float32Array
  const right = b.data as Float32Array
  return left.length === right.length && left.every((value, i) => Math.abs(value - right[i]!) <= 1e-4)
}
