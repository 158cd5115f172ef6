import { onSignedOut } from './core/api.js'
import { fill, h } from './core/dom.js'
import { beat, onPulse } from './core/pulse.js'
import { currentRoute, hrefOf } from './core/router.js'
import { keepKey, storedKey } from './core/session.js'
import { showCalls } from './parts/call-bar.js'
import { askForKey } from './parts/sign-in.js'
import { adaptersView } from './views/adapters/view.js'
import { evaluationsView } from './views/evaluations/view.js'
import { liveView } from './views/live/view.js'
import { playgroundView } from './views/playground/view.js'
import { tasksView } from './views/tasks/view.js'

/** Each shows itself in an element, and returns how to leave it; `move(argument)` tells an open view that the rest of the hash changed. */
const VIEWS = {
  playground: { title: 'Playground', open: playgroundView },
  adapters: { title: 'Adapters', open: adaptersView },
  tasks: { title: 'Tasks', open: tasksView },
  evaluations: { title: 'Evaluations', open: evaluationsView },
  live: { title: 'Live', open: liveView },
}
const FIRST = 'playground'

const main = document.getElementById('view')
const nav = document.getElementById('nav')
const account = document.getElementById('account')
const pulse = document.getElementById('pulse')
let opened = null

function show({ fresh = false } = {}) {
  const route = currentRoute()
  const name = Object.hasOwn(VIEWS, route.name) ? route.name : FIRST
  const { title, open } = VIEWS[name]
  document.title = `${title} · Troupe`
  fill(
    nav,
    Object.entries(VIEWS).map(([id, view]) => tab(id, view.title, id === name)),
  )
  if (!fresh && opened?.name === name && opened.view.move) return opened.view.move(route.argument)
  opened?.view.close?.()
  fill(main)
  main.className = `view view-${name}`
  opened = { name, view: open(main, route.argument) }
}

function tab(id, title, isCurrent) {
  return h('a', { href: hrefOf(id), 'aria-current': isCurrent && 'page' }, title)
}

let lastPulse = ''

function showPulse({ figures, connected, restarted }) {
  pulse.className = `pulse ${connected ? 'is-up' : 'is-down'}`
  const text = connected ? (figures?.model ?? '') : 'Reconnecting…'
  // A screen reader is told of changes, not of every beat.
  if (text !== lastPulse)
    fill(pulse, h('span', { class: 'dot', 'aria-hidden': 'true' }), h('span', { class: 'mono' }, text))
  lastPulse = text
  const caller = figures?.caller
  account.hidden = !caller || caller.open
  if (caller && !caller.open) account.textContent = `${caller.tenant} · sign out`
  if (restarted) show({ fresh: true })
}

async function signIn() {
  await askForKey(storedKey() !== null)
  await beat()
  show({ fresh: true })
}

let asking = null

onSignedOut(() => {
  asking ??= signIn().finally(() => (asking = null))
})
account.addEventListener('click', () => {
  keepKey(null)
  void beat()
})
addEventListener('hashchange', () => show())
showCalls(document.getElementById('calls'))
onPulse(showPulse)
await beat()
show()
