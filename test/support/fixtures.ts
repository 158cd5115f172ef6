import { join } from 'node:path'
import { readFolder } from './client.ts'

const ROOT = join(import.meta.dirname, '../fixtures')

/** The model folder of a reference family. */
export function modelDir(family: 'llama' | 'qwen2' | 'qwen3'): string {
  return join(ROOT, 'conformance', family, 'model')
}

/** Files of a reference adapter, by name. */
export function adapterFiles(family: 'llama' | 'qwen2' | 'qwen3', adapter: string): Record<string, Uint8Array> {
  return readFolder(join(ROOT, 'conformance', family, 'adapters', adapter))
}

/** Files of an adapter that must be refused. */
export function badFiles(adapter: string): Record<string, Uint8Array> {
  return readFolder(join(ROOT, 'bad', adapter))
}
