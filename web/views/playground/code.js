import { curlOf } from '../../core/calls.js'
import { fill, h } from '../../core/dom.js'
import { currentPulse } from '../../core/pulse.js'
import { copyButton } from '../../parts/copy.js'

const LETTERS = 'ABCD'
/** Fields of a comparison that OpenAI's libraries know too. */
const SAMPLING = ['max_tokens', 'temperature', 'top_p', 'seed', 'response_format']

/** The same in a shell and in OpenAI's libraries. */
export function codeSamples() {
  const code = h('code', {})
  const tabs = h('div', { class: 'bar-line' })
  const element = h(
    'details',
    { class: 'panel code' },
    h('summary', {}, 'The same as code'),
    tabs,
    h('pre', { tabindex: '0', 'aria-label': 'Code' }, code),
  )
  let samples = []
  let chosen = 0

  function draw() {
    chosen = Math.min(chosen, samples.length - 1)
    fill(
      tabs,
      samples.map(({ title }, index) =>
        h(
          'button',
          {
            type: 'button',
            class: 'small',
            'aria-pressed': String(index === chosen),
            on: { click: () => ((chosen = index), draw()) },
          },
          title,
        ),
      ),
      h('span', { class: 'space' }),
      copyButton(() => code.textContent),
    )
    code.textContent = samples[chosen]?.text ?? ''
  }

  return {
    element,
    /** @param asked the prompt or messages that the input comes to */
    show(body, mixes, asked) {
      const last = mixes.length - 1
      if (last < 0) return
      samples = [
        {
          title: 'curl: compare',
          text: curlOf({ method: 'POST', path: '/v1/compare', body: { ...body, stream: true } }),
        },
        { title: `OpenAI, Python: ${LETTERS[last]}`, text: python(body, mixes[last], asked) },
        { title: `OpenAI, JavaScript: ${LETTERS[last]}`, text: javascript(body, mixes[last], asked) },
      ]
      draw()
    },
  }
}

/** One mix for OpenAI's libraries: which call, the fields that they know, and those of Troupe. */
function openAiCall(body, mix, asked) {
  const { top_k: topK } = body
  const known = Object.fromEntries(SAMPLING.flatMap((name) => (body[name] === undefined ? [] : [[name, body[name]]])))
  const base = currentPulse().figures?.model ?? 'base'
  const extra = { ...(topK !== undefined && { top_k: topK }), ...(mix.adapters && { adapters: mix.adapters }) }
  const model = mix.adapters || mix.model === 'base' ? base : mix.model
  const name = asked.messages ? 'chat.completions' : 'completions'
  return { name, known: { model, ...asked, ...known }, extra, answer: asked.messages ? 'message.content' : 'text' }
}

function python(body, mix, asked) {
  const { name: call, known, extra, answer } = openAiCall(body, mix, asked)
  const fields = Object.entries(known).map(([name, value]) => `    ${name}=${pythonValue(value)},`)
  if (Object.keys(extra).length > 0) fields.push(`    extra_body=${pythonValue(extra)},`)
  return [
    'import os',
    'from openai import OpenAI',
    '',
    `client = OpenAI(base_url="${location.origin}/v1", api_key=os.environ.get("TROUPE_KEY", "none"))`,
    `answer = client.${call}.create(`,
    ...fields,
    ')',
    `print(answer.choices[0].${answer})`,
  ].join('\n')
}

/** JSON is Python but for three words, which no string is mistaken for. */
function pythonValue(value) {
  if (value === null) return 'None'
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  if (Array.isArray(value)) return `[${value.map(pythonValue).join(', ')}]`
  if (typeof value === 'object')
    return `{${Object.entries(value)
      .map(([name, item]) => `${JSON.stringify(name)}: ${pythonValue(item)}`)
      .join(', ')}}`
  return JSON.stringify(value)
}

function javascript(body, mix, asked) {
  const { name: call, known, extra, answer } = openAiCall(body, mix, asked)
  const fields = Object.entries({ ...known, ...extra }).map(([name, value]) => `  ${name}: ${JSON.stringify(value)},`)
  return [
    "import OpenAI from 'openai'",
    '',
    `const client = new OpenAI({ baseURL: '${location.origin}/v1', apiKey: process.env.TROUPE_KEY ?? 'none' })`,
    `const answer = await client.${call}.create({`,
    ...fields,
    '})',
    `console.log(answer.choices[0].${answer})`,
  ].join('\n')
}
