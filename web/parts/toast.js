import { h } from '../core/dom.js'

const SHOWN_MS = 10_000

/** Says what was done; `undo` adds a button that takes it back. */
export function toast(text, { undo, isBad = false } = {}) {
  const element = h('div', { class: `toast ${isBad ? 'is-bad' : ''}` }, h('span', {}, text))
  const gone = () => element.remove()
  if (undo)
    element.append(h('button', { type: 'button', class: 'small', on: { click: () => (gone(), undo()) } }, 'Undo'))
  element.append(
    h('button', { type: 'button', class: 'quiet small', 'aria-label': 'Dismiss', on: { click: gone } }, '×'),
  )
  document.getElementById('toasts').append(element)
  setTimeout(gone, SHOWN_MS)
}

/** Runs an action of a button: the button waits with it, an error is shown. Returns what the action returned, or null. */
export async function attempt(button, action) {
  button.disabled = true
  try {
    return await action()
  } catch (error) {
    toast(error.message, { isBad: true })
    return null
  } finally {
    button.disabled = false
  }
}
