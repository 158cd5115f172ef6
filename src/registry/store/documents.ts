import { METHODS } from '../../core/branch.ts'
import { TroupeError } from '../../core/errors.ts'
import type { JsonObject } from '../../core/json.ts'
import { isJsonObject, parseJsonObject } from '../../core/json.ts'
import { readNotes } from '../adapter-notes.ts'
import { VERSION_SOURCES } from '../records.ts'
import type { ProbeResult } from '../records.ts'
import type { VersionDocument } from './port.ts'

export const VERSION_FILE = 'version.json'

const DIGEST = /^sha256:([0-9a-f]{64})$/
const FORMATS = ['peft', 'adapterhub'] as const

/** The folder name of a digest: its 64 hex digits, longer than any name can be. */
export function digestFolder(digest: string): string {
  const hex = DIGEST.exec(digest)?.[1]
  if (hex === undefined) throw new TroupeError('internal', `${JSON.stringify(digest)} is no sha256 digest`)
  return hex
}

export function isDigestFolder(name: string): boolean {
  return /^[0-9a-f]{64}$/.test(name)
}

export function renderVersion(document: VersionDocument): string {
  return `${JSON.stringify(document, null, 2)}\n`
}

/** Reads `version.json`. @throws TroupeError `storage_error` naming the field */
export function parseVersion(text: string, adapter: string, folder: string): VersionDocument {
  const json = parseJsonObject(text, VERSION_FILE, 'storage_error')
  const base = json.base
  if (!isJsonObject(base)) throw wrong('base', 'an object')
  const document: VersionDocument = {
    adapter,
    version: count(json, 'version'),
    digest: stringOf(json, 'digest'),
    createdAt: stringOf(json, 'createdAt'),
    createdBy: shared(stringOf(json, 'createdBy')),
    source: oneOf(json, 'source', VERSION_SOURCES),
    format: oneOf(json, 'format', FORMATS),
    method: oneOf(json, 'method', METHODS),
    rank: count(json, 'rank', 0),
    sites: sharedSites(json.sites),
    virtualTokens: json.virtualTokens === undefined ? 0 : count(json, 'virtualTokens', 0),
    parameters: count(json, 'parameters'),
    bytes: count(json, 'bytes'),
    deviceBytes: deviceBytesOf(json),
    probe: probeOf(json.probe),
    base: sharedBase(stringOf(base, 'name'), stringOf(base, 'fingerprint')),
    ...readNotes(json),
  }
  if (stringOf(json, 'adapter') !== adapter) throw wrong('adapter', `"${adapter}", as the folder says`)
  if (document.digest !== `sha256:${folder}`) throw wrong('digest', `sha256:${folder}, as the folder says`)
  return document
}

/** Thousands of adapters have the same few lists of sites: one copy of each is kept. */
const siteLists = new Map<string, readonly string[]>()
const MAX_SITE_LISTS = 1_000

function sharedSites(value: unknown): readonly string[] {
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) throw wrong('sites', 'a list of names')
  const key = value.join()
  const known = siteLists.get(key)
  if (known) return known
  if (siteLists.size < MAX_SITE_LISTS) siteLists.set(key, value)
  return value
}

const bases = new Map<string, VersionDocument['base']>()
const texts = new Map<string, string>()
const MAX_SHARED = 1_000

function sharedBase(name: string, fingerprint: string): VersionDocument['base'] {
  const key = `${fingerprint} ${name}`
  const known = bases.get(key)
  if (known) return known
  const base = { name, fingerprint }
  if (bases.size < MAX_SHARED) bases.set(key, base)
  return base
}

/** One copy of a text that many documents have. */
function shared(text: string): string {
  const known = texts.get(text)
  if (known === undefined && texts.size < MAX_SHARED) texts.set(text, text)
  return known ?? text
}

function probeOf(value: unknown): ProbeResult | null {
  if (value === null) return null
  if (!isJsonObject(value)) throw wrong('probe', 'an object or null')
  const { maxDifference, kl } = value
  if (typeof maxDifference !== 'number' || typeof kl !== 'number') throw wrong('probe', 'maxDifference and kl')
  return { maxDifference, kl }
}

function stringOf(json: JsonObject, key: string): string {
  const value = json[key]
  if (typeof value !== 'string' || value === '') throw wrong(key, 'a text')
  return value
}

function count(json: JsonObject, key: string, least = 1): number {
  const value = json[key]
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least) return value
  throw wrong(key, `an integer of at least ${least}`)
}

/** Documents written before there was this field: as in memory, which is close. */
function deviceBytesOf(json: JsonObject): number {
  const value = json.deviceBytes ?? json.bytes
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw wrong('deviceBytes', 'an integer')
  return value
}

function oneOf<T extends string>(json: JsonObject, key: string, allowed: readonly T[]): T {
  const value = allowed.find((item) => item === json[key])
  if (value === undefined) throw wrong(key, `one of ${allowed.join(', ')}`)
  return value
}

function wrong(key: string, expected: string): TroupeError {
  return new TroupeError('storage_error', `${VERSION_FILE}: "${key}" must be ${expected}`, { param: key })
}
