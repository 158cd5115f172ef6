import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Client } from '../../support/client.ts'
import { readFolder, Refused } from '../../support/client.ts'
import type { Files } from '../../chaos/scenarios/adapters.ts'
import { pick } from '../../chaos/scenarios/scale.ts'
import { variantOf } from './variants.ts'

const ROOT = join(import.meta.dirname, '../../..')
const STORED = join(ROOT, 'adapters-store/blobs')
const PROOF_FILE = 'proof.json'

/** The demo model. */
export const DEMO_MODEL = join(ROOT, 'models/demo')

/** Words of the demo's corpus. */
const WORDS =
  'order invoice camera white the arrived broken please answer soon customer sold blue watch where is my parcel under euros show all'.split(
    ' ',
  )

/** An adapter on a server, by the version it was uploaded as. */
export interface Uploaded {
  readonly name: string
  readonly version: string
  readonly digest: string
}

/** Files of the demo's adapters, of both methods and of ranks from 4 to 64. */
export function demoAdapters(): Files[] {
  return readdirSync(STORED).map((name) => {
    const [digest] = readdirSync(join(STORED, name))
    const files = Object.entries(readFolder(join(STORED, name, digest!)))
    return Object.fromEntries(files.filter(([file]) => file !== PROOF_FILE))
  })
}

/** Uploads so many adapters, each a variant of one of the templates. */
export async function populate(client: Client, templates: readonly Files[], count: number): Promise<Uploaded[]> {
  const uploaded: Uploaded[] = []
  for (let index = 0; index < count; index++) {
    const files = variantOf(templates[index % templates.length]!, 1 + index)
    uploaded.push(await uploadOne(client, `adapter-${index}`, files))
  }
  return uploaded
}

/** @throws Refused */
export async function uploadOne(client: Client, name: string, files: Files): Promise<Uploaded> {
  const { status, body } = await client.upload<Omit<Uploaded, 'name'>>(name, files)
  if (status !== 201) throw new Refused(status, JSON.stringify(body))
  return { ...body, name }
}

/** So many random words. */
export function wordsOf(count: number, random: () => number): string {
  return Array.from({ length: count }, () => pick(WORDS, random())).join(' ')
}
