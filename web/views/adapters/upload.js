import { upload } from '../../core/api.js'
import { fill, freshId, h } from '../../core/dom.js'
import { bytes, percent } from '../../core/format.js'
import { currentPulse } from '../../core/pulse.js'
import { droppedFiles } from './dropped-files.js'

/** Where files are dropped or picked; shows what the server made of them. */
export function uploadZone({ onTaken }) {
  const nameId = freshId('name')
  const name = h('input', {
    id: nameId,
    class: 'mono',
    placeholder: 'acme/invoice-json',
    required: true,
    autocomplete: 'off',
    spellcheck: 'false',
  })
  const folder = h('input', {
    type: 'file',
    class: 'hidden',
    webkitdirectory: true,
    multiple: true,
    tabindex: '-1',
    'aria-label': 'Folder of an adapter',
  })
  const archive = h('input', {
    type: 'file',
    class: 'hidden',
    accept: '.zip,.tar,.gz,.tgz,.json,.safetensors',
    multiple: true,
    tabindex: '-1',
    'aria-label': 'Archive or files of an adapter',
  })
  const report = h('div', { class: 'report', role: 'status' })
  const send = h('button', { type: 'submit', class: 'primary', disabled: true }, 'Upload')
  const files = h('span', { class: 'soft' }, 'Drop the folder of an adapter, or a .zip or .tar of it')
  let picked = []

  const form = h(
    'form',
    { class: 'drop', 'aria-label': 'Upload an adapter' },
    h('div', { class: 'drop-line' }, files, button('Folder…', folder), button('Files…', archive)),
    h('div', { class: 'drop-line' }, h('label', { for: nameId }, 'Name'), name, send),
    folder,
    archive,
    report,
  )
  take([])

  function take(list) {
    picked = list
    const total = list.reduce((sum, { file }) => sum + file.size, 0)
    form.classList.toggle('has-files', list.length > 0)
    if (list.length === 0) return
    files.textContent = `${list.length} ${list.length === 1 ? 'file' : 'files'}, ${bytes(total)}`
    send.disabled = false
    if (name.value === '') name.value = suggestedName(list)
  }

  for (const input of [folder, archive])
    input.addEventListener('change', () =>
      take([...input.files].map((file) => ({ name: file.webkitRelativePath || file.name, file }))),
    )
  form.addEventListener('dragover', (event) => (event.preventDefault(), form.classList.add('is-over')))
  form.addEventListener('dragleave', () => form.classList.remove('is-over'))
  form.addEventListener('drop', async (event) => {
    event.preventDefault()
    form.classList.remove('is-over')
    take(await droppedFiles(event.dataTransfer))
  })
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    send.disabled = true
    fill(report, h('p', { class: 'soft' }, 'Sending…'))
    const onProgress = (share) => {
      const text = share < 1 ? `Sending… ${percent(share)}` : 'Checking: every tensor, then whether it acts…'
      fill(report, h('p', { class: 'soft' }, text))
    }
    try {
      const version = await upload(`/v1/adapters/${encodeURIComponent(name.value.trim())}/versions`, picked, onProgress)
      fill(report, takenReport(version))
      onTaken(version)
    } catch (error) {
      fill(report, h('p', { class: 'error' }, error.message))
    } finally {
      send.disabled = false
    }
  })
  return form
}

function button(text, input) {
  return h('button', { type: 'button', class: 'small', on: { click: () => input.click() } }, text)
}

/** What the server made of the files. */
function takenReport({ adapter, version, warnings, report }) {
  return [
    h('p', {}, 'Taken as ', h('b', { class: 'mono' }, `${adapter}@${version}`), report && `, ${report.format}`),
    report &&
      h(
        'ul',
        { class: 'report-files' },
        report.took.map(({ file, bytes: size }) => h('li', {}, h('code', {}, file), ` ${bytes(size)}`)),
      ),
    report?.ignored.length > 0 &&
      h(
        'details',
        {},
        h('summary', {}, `${report.ignored.length} ignored`),
        h(
          'ul',
          { class: 'report-files' },
          report.ignored.map(({ file, reason }) => h('li', {}, h('code', {}, file), ` ${reason}`)),
        ),
      ),
    warnings.map((text) => h('p', { class: 'warning' }, text)),
  ]
}

/** The folder's or archive's name, as far as it makes a name; under the tenant's, where there are tenants. */
function suggestedName([{ name }]) {
  const parts = name.split('/')
  const base = (parts.length > 1 ? parts[0] : name.replace(/(\.tar)?\.\w+$/, ''))
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '')
  const caller = currentPulse().figures?.caller
  return caller && !caller.open ? `${caller.tenant}/${base}` : base
}
