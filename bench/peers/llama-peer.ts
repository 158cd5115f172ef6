import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { endAtExit } from '../../test/support/at-exit.ts'
import type { AdapterKind } from '../synthetic/adapters.ts'
import { adapterName } from '../synthetic/adapters.ts'
import { preparePython } from '../python.ts'
import { installPeers, writeGguf } from './install.ts'
import type { FromPeer, PeerRun, Setup, ToPeer } from './messages.ts'

/** llama.cpp's formats of the same size. */
const FORMATS = { int4: 'q4_0', int8: 'q8_0', bf16: 'f16' } as const

export interface PeerSizes {
  readonly precision: keyof typeof FORMATS
  readonly kind: AdapterKind
  readonly adapters: number
  readonly threads: number
  readonly contextSize: number
}

/** Where the synthetic files are, and where llama.cpp's may be written. */
export interface PeerFolders {
  readonly model: string
  readonly adapter: (index: number) => string
  readonly python: string
  readonly gguf: string
}

/** node-llama-cpp on the same model and adapters, in a process of its own. */
export class LlamaPeer {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  /** Installs what is missing, converts the files, loads the model. @throws Error saying what cannot be had */
  static async open(folders: PeerFolders, sizes: PeerSizes): Promise<LlamaPeer> {
    const { model, gguf } = folders
    await installPeers()
    const python = await preparePython(folders.python, join(import.meta.dirname, 'requirements.txt'))
    mkdirSync(gguf, { recursive: true })
    const format = FORMATS[sizes.precision]
    const modelFile = join(gguf, `model-${format}.gguf`)
    if (!existsSync(modelFile)) await writeGguf(python, ['model', format, model, modelFile])
    const adapters: string[] = []
    for (let index = 0; index < sizes.adapters; index++) {
      const file = join(gguf, `${adapterName(sizes.kind, index)}.gguf`)
      if (!existsSync(file)) await writeGguf(python, ['adapter', model, folders.adapter(index), file])
      adapters.push(file)
    }
    const peer = new LlamaPeer(endAtExit(fork(join(import.meta.dirname, 'llama-process.ts'))))
    const { threads, contextSize } = sizes
    try {
      await peer.#ask({ type: 'open', files: { model: modelFile, adapters, threads, contextSize } })
    } catch (error) {
      await peer.close()
      throw error
    }
    return peer
  }

  async run(setup: Setup, prompts: readonly (readonly number[])[], newTokens: number): Promise<readonly PeerRun[]> {
    return this.#ask({ type: 'run', setup, prompts, newTokens })
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null) return
    const gone = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.kill('SIGKILL')
    await gone
  }

  async #ask(message: ToPeer): Promise<readonly PeerRun[]> {
    const answer = await new Promise<FromPeer>((resolve, reject) => {
      const onExit = (code: number | null): void => reject(new Error(`node-llama-cpp ended with ${code}`))
      this.#child.once('exit', onExit)
      this.#child.once('message', (received: FromPeer) => {
        this.#child.off('exit', onExit)
        resolve(received)
      })
      this.#child.send(message)
    })
    if (answer.type === 'failed') throw new Error(answer.message)
    return answer.runs
  }
}
