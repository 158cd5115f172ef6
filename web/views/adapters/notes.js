import { call } from '../../core/api.js'
import { freshId, h } from '../../core/dom.js'
import { attempt, toast } from '../../parts/toast.js'

/** What people say about an adapter: its description, to be changed in place, and its labels. */
export function notesForm({ description, labels }, path, mayAlter) {
  const tags = Object.entries(labels)
  const list =
    tags.length > 0 &&
    h(
      'ul',
      { class: 'labels', 'aria-label': 'Labels' },
      tags.map(([key, value]) => h('li', {}, h('b', {}, key), ` ${value}`)),
    )
  if (!mayAlter) return h('div', { class: 'notes' }, description && h('p', {}, description), list)
  const id = freshId('notes')
  const input = h('input', {
    id,
    value: description,
    maxlength: '4096',
    placeholder: 'Add a description',
    autocomplete: 'off',
  })
  const save = h('button', { type: 'submit', class: 'small', hidden: true }, 'Save')
  input.addEventListener('input', () => (save.hidden = input.value === description))
  const form = h('form', { class: 'notes-line' }, h('label', { class: 'hidden', for: id }, 'Description'), input, save)
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    if (!(await attempt(save, () => call('PATCH', path, { description: input.value })))) return
    description = input.value
    save.hidden = true
    toast('Description saved')
  })
  return h('div', { class: 'notes' }, form, list)
}
