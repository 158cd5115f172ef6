import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { LINK_FLAGS, SHARED_FLAGS, TARGETS, ZIG_VERSION, flagsOf } from './flags.ts'

export const NATIVE = join(import.meta.dirname, '..')

/** Rooms whose sources are in the addon; `test` and `bench` have programs of their own. */
const ROOMS = ['core', 'kernels', 'linear', 'pack', 'quantise', 'runtime', 'ops', 'addon']
/** What those programs are built from: everything that needs neither Node nor ONNX Runtime. */
const LIBRARY = ['core', 'kernels', 'linear', 'pack', 'quantise']

/** Paths below `native/`, sorted, with forward slashes. */
function files(room: string, extension: RegExp): string[] {
  const folder = join(NATIVE, room)
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => extension.test(file))
    .map((file) => `${room}/${file.replaceAll('\\', '/')}`)
    .sort()
}

/** Sources of the addon. */
export function addonSources(): string[] {
  return ROOMS.flatMap((room) => files(room, /\.cc$/))
}

/** Sources of the program in `test` or `bench`. */
export function programSources(room: 'test' | 'bench'): string[] {
  return [...LIBRARY, room].flatMap((folder) => files(folder, /\.cc$/))
}

/** All headers, one after the other: any of them may change any object. */
export function headerText(): string {
  const headers = [...ROOMS, 'test', 'bench'].flatMap((room) => files(room, /\.h$/))
  return headers.map((file) => `${file}\0${readFileSync(join(NATIVE, file), 'utf8')}`).join('\0')
}

/** `sha256:…` of all that decides what the addon is: sources, headers, compiler, flags. */
export function sourceDigest(): string {
  const hash = createHash('sha256')
  const add = (name: string, text: string): void => void hash.update(`${name}\0${text.replaceAll('\r\n', '\n')}\0`)
  for (const file of ROOMS.flatMap((room) => files(room, /\.(cc|h)$/)))
    add(
      file,
      readFileSync(join(NATIVE, file), 'utf8') + flagsOf(file, 'x64').join(' ') + flagsOf(file, 'arm64').join(' '),
    )
  add('flags', JSON.stringify([ZIG_VERSION, TARGETS, SHARED_FLAGS, LINK_FLAGS]))
  return `sha256:${hash.digest('hex')}`
}

/** The digest that a built addon says it was made from; null when it holds none. */
export function digestInside(addon: Uint8Array): string | null {
  const found = /troupe-sources=(sha256:[0-9a-f]{64})/.exec(Buffer.from(addon).toString('latin1'))
  return found?.[1] ?? null
}
