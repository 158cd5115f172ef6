import { parentPort, workerData } from 'node:worker_threads'
import type { CpuOptions, DeviceModel } from '../../src/device/cpu/device.ts'
import { openCpuDevice } from '../../src/device/cpu/device.ts'
import { DrivenSequence, StepDriver } from './step-driver.ts'

/** Opens a device in a thread, evaluates some tokens, and ends without closing it, as a thread does that is stopped. */
const { model, options, tokens } = workerData as { model: DeviceModel; options: CpuOptions; tokens: readonly number[] }
const driver = new StepDriver(openCpuDevice(model, options), model.architecture)
const rows = driver.finish(new DrivenSequence(tokens), 5)
parentPort!.postMessage(Buffer.concat(rows.map(({ buffer }) => Buffer.from(buffer))).toString('base64'))
