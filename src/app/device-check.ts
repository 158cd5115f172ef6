import { TroupeError } from '../core/errors.ts'
import { tryCpu } from '../device/cpu/device.ts'
import { DeviceError } from '../device/port.ts'

/** Finds out, before anything long begins, whether this machine can run the engine. @throws TroupeError `device_unavailable` */
export function checkDevice(): void {
  try {
    tryCpu()
  } catch (cause) {
    if (!(cause instanceof DeviceError)) throw cause
    throw new TroupeError('device_unavailable', cause.message, { cause })
  }
}
