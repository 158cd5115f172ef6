import { join } from 'node:path'
import type { CpuDevice } from '../../src/device/cpu/device.ts'
import { openCpuDevice } from '../../src/device/cpu/device.ts'
import { PAGE_TOKENS } from '../../src/device/port.ts'
import type { PreparedModel } from '../../src/model/prepared.ts'
import { WEIGHTS_FILE } from '../../src/model/prepared.ts'

/** Evaluates whole windows of tokens on the device that the engine runs on, and gives the logits of every position. */
export class WindowLogits {
  readonly #device: CpuDevice
  readonly #pages: Int32Array

  private constructor(device: CpuDevice, pages: number) {
    this.#device = device
    this.#pages = Int32Array.from({ length: pages }, (_, page) => page)
  }

  /** @param window most tokens of a window */
  static open({ dir, manifest }: PreparedModel, window: number): WindowLogits {
    const { architecture, tensors } = manifest
    const kvPages = Math.ceil(window / PAGE_TOKENS)
    const device = openCpuDevice(
      { architecture, tensors, weights: join(dir, WEIGHTS_FILE) },
      { threads: 2, kvFormat: 'f32', kvPages, adapterFormat: 'f32', spinning: false },
    )
    return new WindowLogits(device, kvPages)
  }

  /** @returns logits `[tokens, vocab]` */
  of(tokens: readonly number[]): Float32Array {
    const count = tokens.length
    const logits = new Float32Array(count * this.#device.logitWidth)
    const pages = this.#pages.subarray(0, Math.ceil(count / PAGE_TOKENS))
    const input = {
      tokens: Int32Array.from(tokens),
      sequences: Int32Array.of(0, count, 0, 0, 0, -1, 0, pages.length),
      pages,
      mixStart: Int32Array.of(0),
      mixAdapters: new Int32Array(0),
      mixScales: new Float32Array(0),
      mixStacked: new Uint8Array(0),
      logitRows: Int32Array.from(tokens, (_, row) => row),
    }
    this.#device.step(input, logits)
    return logits
  }

  async close(): Promise<void> {
    await this.#device.close()
  }
}
