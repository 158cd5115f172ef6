import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ModelInfo, Precision } from '../../src/core/model-info.ts'
import type { DeviceModel } from '../../src/device/cpu/device.ts'
import { prepareModel } from '../../src/model/prepare.ts'
import { WEIGHTS_FILE } from '../../src/model/prepared.ts'

/** A checkpoint as a device opens it. */
export interface PreparedDeviceModel extends DeviceModel {
  readonly info: ModelInfo
  remove(): void
}

/** Prepares a checkpoint in a folder of its own. */
export async function deviceModel(modelDir: string, precision: Precision = 'f32'): Promise<PreparedDeviceModel> {
  const cacheDir = mkdtempSync(join(tmpdir(), 'troupe-device-'))
  const { dir, manifest } = await prepareModel({ modelDir, precision, cacheDir })
  const { architecture, info, tensors } = manifest
  const remove = (): void => rmSync(cacheDir, { recursive: true, force: true })
  return { architecture, info, weights: join(dir, WEIGHTS_FILE), tensors, remove }
}
