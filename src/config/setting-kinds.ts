import { Type } from 'typebox'

/**
 * Keywords beside JSON Schema's:
 * - `path`: the text is a path, relative to the working directory or, in a file, to the file
 * - `unit: 'bytes'`: sizes such as `512MB` are read too
 * - `env`: the environment variable where it does not follow from the key
 * - `unavailable`: values that mean something elsewhere, but not in this build
 * - `entries`: what a list holds
 * - `defaultText`: what the documentation says where the default depends on the machine or the model
 */
export interface SettingKeywords {
  readonly description?: string
  readonly default?: unknown
  readonly defaultText?: string
  readonly entries?: string
  readonly path?: boolean
  readonly unit?: 'bytes'
  readonly env?: string
  readonly unavailable?: readonly string[]
}

/** Names with commas between them in the environment and on the command line, a list in files. */
export const list = (pattern: string, keywords: SettingKeywords & { readonly entries: string }) =>
  Type.Array(Type.String({ pattern }), { ...keywords, default: [] as string[] })

/** A span from a second on. */
export const seconds = (standard: number, description: string, most = 3600) =>
  Type.Integer({ minimum: 1, maximum: most, default: standard, description })

/** A size. */
export const bytes = (keywords: SettingKeywords & { readonly minimum?: number }) =>
  Type.Integer({ minimum: 1, ...keywords, unit: 'bytes' })
