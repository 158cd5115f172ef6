/** Calls of the API that the page made for the user, the last first. */
const KEPT = 20
const calls = []
const listeners = new Set()

/** `form`: files by name instead of a JSON body. */
export function noteCall({ method, path, body, form }) {
  const call = { method, path, body, form, status: null, curl: curlOf({ method, path, body, form }) }
  calls.unshift(call)
  calls.length = Math.min(calls.length, KEPT)
  tell()
  return (status) => {
    call.status = status
    tell()
  }
}

export function onCalls(listener) {
  listeners.add(listener)
  listener(calls)
}

function tell() {
  for (const listener of listeners) listener(calls)
}

/** The same call for a shell. */
export function curlOf({ method, path, body, form }) {
  const parts = ['curl']
  if (body?.stream) parts.push('-N')
  if (method !== 'GET' && !(method === 'POST' && (body || form))) parts.push('-X', method)
  parts.push(quoted(location.origin + path))
  if (sessionStorage.getItem('troupe.key') !== null) parts.push('-H "authorization: Bearer $TROUPE_KEY"')
  if (body) parts.push("-H 'content-type: application/json'", `-d ${quoted(JSON.stringify(body))}`)
  for (const name of form ?? []) parts.push(`-F ${quoted(`files=@${name}`)}`)
  return parts.join(' ')
}

function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
}
