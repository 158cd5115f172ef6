import { h, freshId } from '../core/dom.js'
import { keepKey } from '../core/session.js'

/** Asks for a key until the server takes one. */
export async function askForKey(wasRefused) {
  let message = wasRefused ? 'The server does not know this key.' : ''
  for (;;) {
    const key = await ask(message)
    const status = await statusWith(key)
    if (status !== 401 && status !== 0) return keepKey(key)
    message = status === 0 ? 'The server cannot be reached.' : 'The server does not know this key.'
  }
}

async function statusWith(key) {
  const response = await fetch('/v1/live', { headers: { authorization: `Bearer ${key}` } }).catch(() => null)
  return response?.status ?? 0
}

function ask(message) {
  const id = freshId('key')
  const title = freshId('title')
  const input = h('input', { id, type: 'password', autocomplete: 'current-password', required: true, class: 'mono' })
  const form = h(
    'form',
    { method: 'dialog' },
    h('h2', { id: title }, 'Sign in'),
    h('p', { class: 'soft' }, 'This server serves several tenants. The key stays in this tab.'),
    h('label', { for: id }, 'API key'),
    input,
    message && h('p', { class: 'error', role: 'alert' }, message),
    h('div', { class: 'actions' }, h('button', { type: 'submit', class: 'primary' }, 'Sign in')),
  )
  const dialog = h('dialog', { 'aria-labelledby': title, on: { cancel: (event) => event.preventDefault() } }, form)
  document.body.append(dialog)
  dialog.showModal()
  input.focus()
  return new Promise((resolve) => {
    form.addEventListener('submit', () => {
      resolve(input.value.trim())
      dialog.remove()
    })
  })
}
