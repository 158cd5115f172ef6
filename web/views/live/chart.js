import { fill, h } from '../../core/dom.js'
import { figure } from '../../core/format.js'
import UPlot from '../../vendor/uplot.js'

/** Points kept: three minutes of seconds. */
const KEPT = 180
const HEIGHT = 170
const COLOURS = ['--accent', '--warning']

/** `-60 s`, or `now` at the right edge. */
function agoOf(time, now) {
  const seconds = Math.round(time - now)
  return seconds === 0 ? 'now' : `${seconds} s`
}

/** A line chart that time moves through. `lines`: pairs of label and field of what `add` gets. */
export function timeChart(title, lines) {
  const now = h('span', { class: 'chart-now mono' })
  const area = h('div', { class: 'chart-area', 'aria-hidden': 'true' })
  const element = h(
    'section',
    { class: 'panel chart', 'aria-label': title },
    h('div', { class: 'bar-line' }, h('h2', {}, title), h('span', { class: 'space' }), now),
    area,
  )
  const columns = [[], ...lines.map(() => [])]
  let plot = null

  const colour = (name) => getComputedStyle(element).getPropertyValue(name).trim()
  function draw() {
    plot?.destroy()
    const axis = {
      stroke: colour('--soft'),
      grid: { stroke: colour('--line'), width: 1 },
      ticks: { show: false },
      font: '11px system-ui',
    }
    plot = new UPlot(
      {
        width: Math.max(200, area.clientWidth),
        height: HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        scales: {
          x: { range: (_plot, _first, last) => [last - KEPT, last] },
          y: { range: (_plot, _least, most) => [0, Math.max(1, (most ?? 0) * 1.15)] },
        },
        axes: [
          { ...axis, space: 70, values: (_plot, times) => times.map((time) => agoOf(time, columns[0].at(-1))) },
          { ...axis, size: 44, space: 34 },
        ],
        series: [
          {},
          ...lines.map(([label], index) => ({
            label,
            stroke: colour(COLOURS[index]),
            width: 1.5,
            spanGaps: true,
            points: { show: false },
          })),
        ],
      },
      columns,
      area,
    )
  }
  const resized = new ResizeObserver(() =>
    plot ? plot.setSize({ width: Math.max(200, area.clientWidth), height: HEIGHT }) : draw(),
  )
  resized.observe(area)
  const dark = matchMedia('(prefers-color-scheme: dark)')
  dark.addEventListener('change', draw)

  return {
    element,
    add(values) {
      columns[0].push(Date.now() / 1000)
      for (const [index, [, field]] of lines.entries()) columns[index + 1].push(values[field])
      if (columns[0].length > KEPT) for (const column of columns) column.shift()
      fill(
        now,
        lines.map(([label, field], index) => [
          h('i', { class: `line line-${index}`, 'aria-hidden': 'true' }),
          ` ${label} ${figure(values[field])} `,
        ]),
      )
      plot?.setData(columns)
    },
    close() {
      resized.disconnect()
      dark.removeEventListener('change', draw)
      plot?.destroy()
    },
  }
}
