import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { ErrorCode } from '../../src/core/errors.ts'
import { TroupeError } from '../../src/core/errors.ts'
import type { RegistryOptions } from '../../src/registry/assembly.ts'
import type { VersionRecord } from '../../src/registry/records.ts'
import { Registry } from '../../src/registry/registry.ts'
import type { FakeAdapter } from './fake-adapter.ts'
import { readFakeAdapter, stageFake } from './fake-adapter.ts'
import { FakeHost } from './fake-host.ts'

/** A folder that lives as long as the test. */
export async function temporaryFolder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'troupe-registry-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

/** A logger that keeps what was said. */
class MemoryLog {
  readonly lines: string[] = []
  readonly info = (_fields: object, message: string): void => this.#keep('info', message)
  readonly warn = (_fields: object, message: string): void => this.#keep('warn', message)
  readonly error = (_fields: object, message: string): void => this.#keep('error', message)

  #keep(level: string, message: string): void {
    this.lines.push(`${level}: ${message}`)
  }
}

export interface OpenRegistry {
  readonly registry: Registry
  readonly host: FakeHost
  readonly log: MemoryLog
  readonly storeDir: string
}

/** A registry on a fake engine and fake adapter files. The store is only looked at when the test says so. */
export async function openRegistry(
  options: Partial<RegistryOptions> & { host?: FakeHost } = {},
): Promise<OpenRegistry> {
  const storeDir = options.storeDir ?? (await temporaryFolder())
  const host = options.host ?? new FakeHost()
  const log = new MemoryLog()
  const registry = await Registry.open({
    memoryBytes: 1_000,
    reader: readFakeAdapter,
    scanIntervalMs: 3_600_000,
    dropStableMs: 0,
    ...options,
    storeDir,
    host,
    log,
  })
  onTestFinished(() => registry.close())
  return { registry, host, log, storeDir }
}

export async function upload(registry: Registry, name: string, adapter: FakeAdapter): Promise<VersionRecord> {
  const staging = await stageFake(await registry.stageUpload(), adapter)
  return (await registry.addVersion(name, staging, { source: 'upload', by: 'tests' })).record
}

/** The code of the TroupeError that a call fails with; 'none' if it does not. */
export async function codeOf(call: () => unknown): Promise<ErrorCode | 'none'> {
  try {
    await call()
    return 'none'
  } catch (error) {
    if (error instanceof TroupeError) return error.code
    throw error
  }
}

/** The message a call fails with. */
export async function messageOf(call: () => unknown): Promise<string> {
  try {
    await call()
  } catch (error) {
    if (error instanceof TroupeError) return error.message
    throw error
  }
  throw new Error('the call did not fail')
}
