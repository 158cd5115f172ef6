import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { endAtExit } from '../../test/support/at-exit.ts'

type Child = ChildProcessByStdio<Writable, Readable, Readable>

/** transformers and peft in a Python process. */
export class PeftPeer {
  readonly #child: Child
  readonly #lines: AsyncIterator<string>
  #said = ''

  private constructor(child: Child) {
    this.#child = child
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#said = `${this.#said}${text}`.slice(-2_000)))
  }

  /** @param python one that has torch, transformers and peft. @throws Error with the last line it wrote */
  static async open(python: string, threads: number, model: string, adapters: readonly string[]): Promise<PeftPeer> {
    const script = join(import.meta.dirname, 'peft_process.py')
    const args = [script, `${threads}`, model, ...adapters]
    const child = endAtExit(spawn(python, args, { stdio: ['pipe', 'pipe', 'pipe'] }))
    await once(child, 'spawn')
    const peer = new PeftPeer(child)
    await peer.#answer()
    return peer
  }

  /** Greedy answers to one batch, row `i` on adapter `i`. @returns seconds it took */
  async run(prompts: readonly (readonly number[])[], newTokens: number): Promise<number> {
    this.#child.stdin.write(`${JSON.stringify({ prompts, newTokens })}\n`)
    return this.#answer()
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null) return
    const gone = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await gone
  }

  async #answer(): Promise<number> {
    const line = await this.#lines.next()
    if (line.done) throw new Error(`Python ended: ${this.#said.trim().split('\n').at(-1)}`)
    return (JSON.parse(line.value) as { seconds: number }).seconds
  }
}
