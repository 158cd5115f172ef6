import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { RoomsOptions } from '../../src/app/rooms.ts'
import { Rooms } from '../../src/app/rooms.ts'
import type { VersionRecord } from '../../src/catalogue/version.ts'
import type { ErrorCode } from '../../src/core/errors.ts'
import { TroupeError } from '../../src/core/errors.ts'
import type { FakeAdapter } from './fake-adapter.ts'
import { readFakeAdapter, stageFake } from './fake-adapter.ts'
import { FakeHost } from './fake-host.ts'
import { ME, openLocation, STILL } from './store-folder.ts'

export { blobFolders, filesOf, ME } from './store-folder.ts'

/** A folder that lives as long as the test. */
export async function temporaryFolder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'troupe-rooms-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

/** A logger that keeps what was said. */
export class MemoryLog {
  readonly lines: string[] = []
  readonly info = (_fields: object, message: string): void => this.#keep('info', message)
  readonly warn = (_fields: object, message: string): void => this.#keep('warn', message)
  readonly error = (_fields: object, message: string): void => this.#keep('error', message)

  #keep(level: string, message: string): void {
    this.lines.push(`${level}: ${message}`)
  }
}

export interface OpenRooms {
  readonly rooms: Rooms
  readonly host: FakeHost
  readonly log: MemoryLog
  readonly storeDir: string
}

export type TestRooms = Partial<Omit<RoomsOptions, 'host' | 'log' | 'memory' | 'open'>> & {
  readonly storeDir?: string
  readonly host?: FakeHost
  readonly memoryBytes?: number
  readonly memoryWaitMs?: number
}

/** All rooms on a fake engine and fake adapter files. The store is only looked at when the test says so. */
export async function openRooms(options: TestRooms = {}): Promise<OpenRooms> {
  const storeDir = options.storeDir ?? (await temporaryFolder())
  const host = options.host ?? new FakeHost()
  const log = new MemoryLog()
  const { memoryBytes = 1_000, memoryWaitMs } = options
  const rooms = await Rooms.open({
    reader: readFakeAdapter,
    pace: STILL,
    ...options,
    open: await openLocation(storeDir),
    memory: { budgetBytes: memoryBytes, waitMs: memoryWaitMs },
    host,
    log,
  })
  onTestFinished(() => rooms.close())
  return { rooms, host, log, storeDir }
}

export async function upload(rooms: Rooms, name: string, adapter: FakeAdapter): Promise<VersionRecord> {
  const staging = await stageFake(await rooms.intake.stage(), adapter)
  return (await rooms.intake.add(name, staging, { source: 'upload', ...ME })).record
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
