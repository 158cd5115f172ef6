import type { AddressInfo } from 'node:net'
import { Server as TlsServer } from 'node:tls'
import { TroupeError } from '../core/errors.ts'
import type { App } from './app.ts'

const FIXES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens there: choose another port (--port, 0 = a free one)',
  EACCES: 'the system does not allow it: choose a port from 1024 on',
  EADDRNOTAVAIL: 'this machine has no such address: choose another host (--host)',
  ENOTFOUND: 'no such host: give an address of this machine (--host)',
}

/** Starts to listen; returns the URL of the server. Throws `invalid_config` when the address cannot be had. */
export async function listen(app: App, where: { readonly host: string; readonly port: number }): Promise<string> {
  try {
    await app.listen({ host: where.host, port: where.port })
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
    const fix = FIXES[code]
    if (fix === undefined) throw cause
    throw new TroupeError('invalid_config', `cannot listen on ${where.host} port ${where.port}: ${fix}`, {
      param: code === 'EADDRINUSE' || code === 'EACCES' ? 'port' : 'host',
      cause,
    })
  }
  const { address, family, port } = app.server.address() as AddressInfo
  const scheme = app.server instanceof TlsServer ? 'https' : 'http'
  return `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`
}
