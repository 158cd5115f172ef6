import { h, freshId } from '../core/dom.js'

/** Asks before something that cannot be undone. Resolves with the answer. */
export function confirmed(title, text, action) {
  const id = freshId('title')
  const form = h(
    'form',
    { method: 'dialog' },
    h('h2', { id }, title),
    h('p', {}, text),
    h(
      'div',
      { class: 'actions' },
      h('button', { value: 'no' }, 'Cancel'),
      h('button', { value: 'yes', class: 'danger' }, action),
    ),
  )
  const dialog = h('dialog', { 'aria-labelledby': id }, form)
  document.body.append(dialog)
  dialog.showModal()
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      resolve(dialog.returnValue === 'yes')
      dialog.remove()
    })
  })
}
