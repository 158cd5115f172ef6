import type { Server } from 'node:http'
import { Server as TlsServer } from 'node:tls'
import type { TlsFiles, TlsPair } from './tls-files.ts'

interface Log {
  info(message: string): void
  error(fields: object, message: string): void
}

/** Gives a listening server the certificate that its files hold, whenever they change; connections go on with theirs. */
export class LiveCertificates {
  readonly #files: TlsFiles
  readonly #use: (pair: TlsPair) => void
  readonly #fail: (error: unknown) => void
  readonly stop: () => void

  constructor(files: TlsFiles, server: Server, log: Log) {
    this.#files = files
    this.#use = (pair) => {
      if (!(server instanceof TlsServer)) throw new Error('the server does not speak TLS')
      server.setSecureContext(pair)
      log.info('the certificate was read again')
    }
    this.#fail = (error) => log.error({ err: error }, 'the certificate cannot be used: the one before stays')
    this.stop = files.watch(this.#use, this.#fail)
  }

  /** Reads the files now, changed or not. */
  reload(): void {
    try {
      this.#use(this.#files.read())
    } catch (error) {
      this.#fail(error)
    }
  }
}
