import { createRequire } from 'node:module'
const require = createRequire(import.meta.url)
export function nativeAddon(): {
  packRows(
    format: number,
    rows: Float32Array,
    inputs: number,
    importance: Float32Array | null,
    tiles: Uint8Array,
    d: Uint16Array,
    m: Uint16Array,
  ): Promise<void>
} {
  return require('/tmp/troupe-lead.node')
}
