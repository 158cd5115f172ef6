import { TroupeError } from '../core/errors.ts'

/** `base,json@v2,a*0.5+b`: mixes as flags write them; what has a `+` or a scale is a composition. */
export function mixesOf(text: string): object[] {
  return text.split(',').map((mix) => {
    if (!/[+*]/.test(mix)) return { model: mix.trim() }
    return { label: mix.trim(), adapters: mix.split('+').map(memberOf) }
  })
}

function memberOf(member: string): object {
  const [named = '', scale] = member.trim().split('*')
  const [name, version] = named.split('@')
  const adapter = { name, ...(version !== undefined && { version }) }
  if (scale === undefined) return adapter
  if (scale.trim() !== '' && Number.isFinite(Number(scale))) return { ...adapter, scale: Number(scale) }
  throw new TroupeError('invalid_request', `--mixes: \`${member.trim()}\` needs a number after the \`*\``)
}
