import { TroupeError } from '../core/errors.ts'

/**
 * Whether the name of a base model that an adapter's files give can mean one of these: the last parts of the paths are the same, or one continues
 * the other after a separator, as `Llama-3.2-1B` and `Llama-3.2-1B-Instruct-GPTQ` do. Case does not count.
 */
export function namesSameBase(named: string, known: readonly string[]): boolean {
  const wanted = lastPart(named)
  return known.map(lastPart).some((name) => continues(name, wanted) || continues(wanted, name))
}

/**
 * Checks that an adapter was made for a base model of one of these names; files that name none pass.
 *
 * @throws TroupeError `base_mismatch`
 */
export function checkBaseName(named: string | null, known: readonly string[]): void {
  if (named === null || namesSameBase(named, known)) return
  const served = [...new Set(known)].map((name) => `"${name}"`).join(' or ')
  throw new TroupeError(
    'base_mismatch',
    `adapter_config.json says the adapter was made for "${named}", the base model here is ${served}; ` +
      'if they are the same weights, start the server with --allow-base-mismatch',
    { param: 'base_model_name_or_path' },
  )
}

function lastPart(path: string): string {
  return path
    .replace(/[\\/]+$/, '')
    .replace(/^.*[\\/]/, '')
    .toLowerCase()
}

function continues(longer: string, shorter: string): boolean {
  return shorter !== '' && longer.startsWith(shorter) && /^([-_.]|$)/.test(longer.slice(shorter.length))
}
