import { get } from '../../core/api.js'
import { h } from '../../core/dom.js'
import { bytes, count, figure, shortDigest } from '../../core/format.js'
import { bar } from '../../parts/bar.js'
import { copyButton } from '../../parts/copy.js'
import { facts } from './plan.js'

const SHOWN_SITES = 12

/** What was found when a version was checked: that all of it acts, where, and that it acts as merged weights do. */
export async function proofOf(path, id) {
  try {
    return section(await get(`${path}/versions/${id}`, { quiet: false }))
  } catch (error) {
    return h('p', { class: 'error' }, error.message)
  }
}

function section(version) {
  const { adapter, version: id, digest, probe, proof, warnings, sites, parameters } = version
  return h(
    'section',
    { class: 'panel', 'aria-label': 'Proof' },
    h('h3', {}, 'Proof of ', h('span', { class: 'mono' }, `${adapter}@${id}`)),
    facts([
      ['Digest', [h('code', { title: digest }, shortDigest(digest)), ' ', copyButton(() => digest)]],
      ['Parameters', `${count(parameters)}, at ${count(sites.length)} sites, ${bytes(version.device_bytes)}`],
      [
        'Acts',
        probe
          ? `${figure(probe.kl)} nats from the base model, ${figure(probe.max_difference)} at most for a token`
          : 'was not probed',
      ],
      ['As merged weights', mergedText(proof?.merged)],
    ]),
    warnings.map((text) => h('p', { class: 'warning' }, text)),
    proof && proof.sites.length > 0 && siteTable(proof.sites),
  )
}

function mergedText(merged) {
  if (!merged) return 'was not compared'
  if (merged.deviation === null) return merged.reason
  return `deviates by ${figure(merged.deviation)} of its effect; rounding may take ${figure(merged.tolerance)}`
}

function siteTable(sites) {
  const largest = Math.max(...sites.map(({ norm }) => norm))
  const strongest = sites.toSorted((a, b) => b.norm - a.norm).slice(0, SHOWN_SITES)
  return h(
    'table',
    { class: 'sites' },
    h('caption', {}, sites.length > SHOWN_SITES ? `Where it acts most, of ${sites.length} sites` : 'Where it acts'),
    h(
      'thead',
      { class: 'hidden' },
      h(
        'tr',
        {},
        h('th', { scope: 'col' }, 'Site'),
        h('th', { scope: 'col' }, 'Share of the largest norm'),
        h('th', { scope: 'col' }, 'Norm'),
      ),
    ),
    h(
      'tbody',
      {},
      strongest.map(({ site, norm }) =>
        h(
          'tr',
          {},
          h('th', { scope: 'row', class: 'mono' }, site),
          h('td', { class: 'bar-cell' }, bar(norm / largest, `norm ${figure(norm)}`)),
          h('td', { class: 'number' }, figure(norm)),
        ),
      ),
    ),
  )
}
