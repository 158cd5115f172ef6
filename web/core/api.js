import { noteCall } from './calls.js'
import { storedKey } from './session.js'

/** An answer that says no; `status` 0 = there was none. */
export class ApiError extends Error {
  constructor(status, message, code) {
    super(message)
    this.status = status
    this.code = code
  }
}

const signedOut = new EventTarget()

/** Calls `listener` whenever the server wants a key, or another one. */
export function onSignedOut(listener) {
  signedOut.addEventListener('401', listener)
}

function headers(extra = {}) {
  const key = storedKey()
  return { ...extra, ...(key !== null && { authorization: `Bearer ${key}` }) }
}

/** Sends one request, and shows it among the calls unless it is `quiet`. @throws ApiError */
export async function call(method, path, body, { quiet = false, signal } = {}) {
  const settle = quiet ? () => {} : noteCall({ method, path, body })
  const init = { method, signal, headers: headers(body === undefined ? {} : { 'content-type': 'application/json' }) }
  const response = await reach(path, { ...init, ...(body !== undefined && { body: JSON.stringify(body) }) }, settle)
  if (response.status === 204) return null
  return response.json()
}

export function get(path, options) {
  return call('GET', path, undefined, { quiet: true, ...options })
}

/** Events of a streamed answer, as `{ name, data }`. Breaking out of the loop ends the request. @throws ApiError */
export async function* stream(path, body, signal) {
  const settle = noteCall({ method: 'POST', path, body })
  const init = { method: 'POST', signal, headers: headers({ 'content-type': 'application/json' }) }
  const response = await reach(path, { ...init, body: JSON.stringify(body) }, settle)
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      const blocks = (rest + value).split('\n\n')
      rest = blocks.pop()
      for (const block of blocks) {
        const event = parseEvent(block)
        if (event) yield event
      }
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}

function parseEvent(block) {
  let name = 'message'
  let data = ''
  for (const line of block.split('\n')) {
    if (line.startsWith('event: ')) name = line.slice('event: '.length)
    else if (line.startsWith('data: ')) data += line.slice('data: '.length)
  }
  return data === '' || data === '[DONE]' ? null : { name, data: JSON.parse(data) }
}

/** Sends files as a form; `onProgress` gets the share that was sent. @throws ApiError */
export function upload(path, files, onProgress) {
  const form = new FormData()
  for (const { name, file } of files) form.append('files', file, name)
  const settle = noteCall({ method: 'POST', path, form: files.map(({ name }) => name) })
  return new Promise((resolve, reject) => {
    // `fetch` does not tell how much of a body was sent.
    const request = new XMLHttpRequest()
    request.open('POST', path)
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value)
    request.upload.addEventListener('progress', ({ loaded, total }) => onProgress(total > 0 ? loaded / total : 0))
    request.addEventListener('error', () => reject(unreachable(settle)))
    request.addEventListener('load', () => {
      settle(request.status)
      if (request.status >= 200 && request.status < 300) resolve(JSON.parse(request.responseText))
      else reject(errorOf(request.status, request.responseText))
    })
    request.send(form)
  })
}

async function reach(path, init, settle) {
  let response
  try {
    response = await fetch(path, init)
  } catch (error) {
    if (init.signal?.aborted) throw error
    throw unreachable(settle)
  }
  settle(response.status)
  if (response.ok) return response
  throw errorOf(response.status, await response.text())
}

function unreachable(settle) {
  settle(0)
  return new ApiError(0, 'The server cannot be reached.', 'unreachable')
}

function errorOf(status, text) {
  if (status === 401) signedOut.dispatchEvent(new Event('401'))
  try {
    const { error } = JSON.parse(text)
    return new ApiError(status, error.message, error.code)
  } catch {
    return new ApiError(status, `The server answered ${status}.`, 'unknown')
  }
}
