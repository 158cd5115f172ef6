import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { build, requireZig } from './compiler.ts'
import type { Target } from './flags.ts'
import { LINK_FLAGS, TARGETS } from './flags.ts'
import { NATIVE, addonSources, sourceDigest } from './sources.ts'

/** Where the addon of a platform is kept. */
export function prebuiltPath(target: Target): string {
  return join(NATIVE, 'prebuilds', target, 'troupe.node')
}

/** Builds the addon of one platform; the path of the result, which is not yet in its place. */
async function buildAddon(target: Target): Promise<string> {
  const { arch, triple } = TARGETS[target]
  return build({
    compiler: requireZig(),
    sources: addonSources(),
    arch,
    flags: ['-target', triple],
    linkFlags: LINK_FLAGS[target.split('-')[0] as keyof typeof LINK_FLAGS],
    defines: { 'core/digest.cc': [`-DTROUPE_SOURCES="${sourceDigest()}"`] },
    folder: join(NATIVE, '../.cache/native', target),
    name: 'troupe.node',
  })
}

/** Builds the addons of these platforms and puts them into `native/prebuilds`. */
export async function writePrebuilds(targets: readonly Target[]): Promise<void> {
  for (const target of targets) {
    const built = await buildAddon(target)
    mkdirSync(dirname(prebuiltPath(target)), { recursive: true })
    copyFileSync(built, prebuiltPath(target))
    console.log(`${target}: ${Math.round(readFileSync(built).length / 1024)} kB`)
  }
}

/**
 * Builds the addons again and compares them with those in `native/prebuilds`, byte for byte.
 *
 * @throws Error that names those that differ
 */
export async function comparePrebuilds(targets: readonly Target[]): Promise<void> {
  const differing: Target[] = []
  for (const target of targets) {
    const [built, kept] = [await buildAddon(target), prebuiltPath(target)]
    const same = existsSync(kept) && readFileSync(built).equals(readFileSync(kept))
    console.log(`${target}: ${same ? 'the same' : 'differs'}`)
    if (!same) differing.push(target)
  }
  if (differing.length > 0) throw new Error(`not what the sources give: ${differing.join(', ')}; run npm run native`)
}
