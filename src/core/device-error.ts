/** A device, or the native code behind it, was asked for what it cannot do. `code` names the kind for machines. */
export class DeviceError extends Error {
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'DeviceError'
    this.code = code
  }
}
