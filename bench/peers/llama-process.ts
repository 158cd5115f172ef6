import { getLlama } from 'node-llama-cpp'
import type { LlamaContextSequence, LlamaModel } from 'node-llama-cpp'
import type { FromPeer, PeerFiles, PeerRun, Setup, ToPeer } from './messages.ts'

/** node-llama-cpp in a process of its own: answers each message of the benchmark with one. */
class Peer {
  readonly #files: PeerFiles
  readonly #model: LlamaModel
  readonly #sequences = new Map<string, LlamaContextSequence[]>()

  private constructor(files: PeerFiles, model: LlamaModel) {
    this.#files = files
    this.#model = model
  }

  static async open(files: PeerFiles): Promise<Peer> {
    const { threads, model } = files
    const quiet = { logLevel: 'error', progressLogs: false } as const
    const llama = await getLlama({ gpu: false, build: 'never', maxThreads: threads, ...quiet })
    return new Peer(files, await llama.loadModel({ modelPath: model, gpuLayers: 0 }))
  }

  async run({ setup, prompts, newTokens }: Extract<ToPeer, { type: 'run' }>): Promise<PeerRun[]> {
    const sequences = await this.#sequencesFor(setup, prompts.length)
    for (const sequence of sequences) await sequence.clearHistory()
    const run = (prompt: readonly number[], row: number, startedAt: number): Promise<PeerRun> =>
      generate(sequences[row]!, prompt, { newTokens, startedAt })
    const startedAt = performance.now()
    if (setup !== 'turns') return Promise.all(prompts.map((prompt, row) => run(prompt, row, startedAt)))
    const runs: PeerRun[] = []
    for (const [row, prompt] of prompts.entries()) runs.push(await run(prompt, row, startedAt))
    return runs
  }

  async #sequencesFor(setup: Setup, count: number): Promise<LlamaContextSequence[]> {
    const key = setup === 'sequences' ? `sequences ${count}` : 'adapters'
    const known = this.#sequences.get(key)
    if (known) return known
    const { contextSize, threads, adapters } = this.#files
    const made: LlamaContextSequence[] = []
    if (setup === 'sequences') {
      const context = await this.#model.createContext({ contextSize, threads, sequences: count })
      for (let row = 0; row < count; row++) made.push(context.getSequence())
    } else {
      for (const lora of adapters) {
        const context = await this.#model.createContext({ contextSize, threads, sequences: 1, lora })
        made.push(context.getSequence())
      }
    }
    this.#sequences.set(key, made)
    return made
  }
}

async function generate(
  sequence: LlamaContextSequence,
  prompt: readonly number[],
  { newTokens, startedAt }: { readonly newTokens: number; readonly startedAt: number },
): Promise<PeerRun> {
  const arrivals: number[] = []
  const tokens = sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })
  while (arrivals.length < newTokens) {
    if ((await tokens.next()).done) break
    arrivals.push(performance.now())
  }
  await tokens.return(undefined)
  return { startedAt, arrivals }
}

let peer: Peer | null = null

async function answer(message: ToPeer): Promise<FromPeer> {
  try {
    if (message.type === 'open') {
      peer = await Peer.open(message.files)
      return { type: 'done', runs: [] }
    }
    if (!peer) throw new Error('a run before the model was opened')
    return { type: 'done', runs: await peer.run(message) }
  } catch (error) {
    return { type: 'failed', message: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
}

process.on('message', (message: ToPeer) => void answer(message).then((result) => process.send!(result)))
