import { readFileSync } from 'node:fs'
import { packagePath } from './defaults.ts'

/** The version in package.json. */
export const VERSION = (JSON.parse(readFileSync(packagePath('package.json'), 'utf8')) as { readonly version: string })
  .version
