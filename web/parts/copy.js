import { h } from '../core/dom.js'

const SHOWN_MS = 1_500

/** A button that puts a text on the clipboard. */
export function copyButton(text, label = 'Copy') {
  const button = h('button', { type: 'button', class: 'quiet small', on: { click: copy } }, label)

  async function copy() {
    try {
      await navigator.clipboard.writeText(text())
      button.textContent = 'Copied'
    } catch {
      // Browsers give the clipboard to secure pages only.
      button.textContent = 'Select and copy it'
    }
    setTimeout(() => (button.textContent = label), SHOWN_MS)
  }

  return button
}
