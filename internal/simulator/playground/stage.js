// The stage: the phone, the gateway, the app, and requests that travel between them.
import { $, line, make, page, shorten, T } from './page.js'
import { compare, opened } from './reading.js'
import { token } from './phone.js'

const quiet = matchMedia('(prefers-reduced-motion: reduce)')
const GO = 420
const FALL = 520

// Headers that say nothing about who somebody is do not travel as a line of their own.
const dull = /^(host|user-agent|connection|content-length|content-type|accept.*|via|x-forwarded-.*)$/i

// middle is where the middle of an element is, seen from the stage.
function middle(node) {
  const box = node.getBoundingClientRect()
  const stage = $('stage').getBoundingClientRect()
  return { x: box.left - stage.left + box.width / 2, y: box.top - stage.top + Math.min(box.height / 2, 150) }
}

function packet(lines, kind = '') {
  const node = make('div', { className: 'packet ' + kind, ariaHidden: 'true' }, ...lines)
  $('stage').append(node)
  return node
}

async function move(node, from, to) {
  const at = ({ x, y }) => `translate(calc(${x}px - 50%), calc(${y}px - 50%))`
  await node.animate([{ transform: at(middle(from)) }, { transform: at(middle(to)) }], { duration: GO, easing: 'ease-in-out', fill: 'forwards' }).finished
}

const fall = (node) => node.animate([
  { transform: 'none', opacity: 1 },
  { transform: 'translateY(26px) rotate(-4deg)', opacity: 1, offset: 0.35 },
  { transform: 'translateY(170px) rotate(24deg)', opacity: 0 }
], { duration: FALL, easing: 'ease-in', fill: 'forwards' }).finished

const appear = (node) => node.animate([{ opacity: 0, transform: 'scale(.6)' }, { opacity: 1, transform: 'none' }], { duration: FALL / 2, fill: 'forwards' }).finished

const chip = ({ name, value }, kind = '') => make('span', { className: kind, textContent: `${name}: ${shorten(value, 44)}` })

// play shows a request passing through, and then what is left to be read. Who does
// not want motion, or looks elsewhere, gets the second at once.
export async function play(exchange) {
  const { sent, seen, refused } = compare(exchange)
  const travels = sent.filter(({ name, hostile }) => hostile || !dull.test(name))
  const put = (seen || []).filter(({ identity }) => identity)
  if (!quiet.matches && !document.hidden) {
    try {
      await travel(exchange, travels, put, seen, refused)
    } finally {
      for (const node of document.querySelectorAll('.packet')) node.remove()
    }
  }
  last = exchange
  drawStage()
}

async function travel({ method, path, answer }, travels, put, seen, refused) {
  const chips = travels.map((header) => chip(header, header.hostile ? 'gone' : ''))
  const request = packet([make('span', { textContent: `${method} ${path}` }), ...chips])
  await move(request, $('phone'), $('gate'))
  if (seen) {
    await Promise.all(chips.filter((_, i) => travels[i].removed).map(fall))
    for (const node of chips.filter((_, i) => travels[i].removed)) node.remove()
    const added = put.map((header) => chip(header, 'set'))
    request.append(...added)
    await Promise.all(added.map(appear))
    await move(request, $('gate'), $('app-card'))
  }
  request.remove()
  const back = packet([make('span', { textContent: answer.status + (refused ? ' ' + refused : '') })], answer.status < 400 ? '' : 'bad')
  await move(back, seen ? $('app-card') : $('gate'), $('phone'))
}

let last = null
export const forgetStage = () => { last = null }

export function drawStage() {
  const t = T()
  const none = (text) => line(text, 'none')
  const { sent, seen } = last ? compare(last) : { sent: [], seen: null }
  // A refused request falls with all it claimed.
  const gone = sent.filter(({ name, hostile, removed }) => seen ? removed && (hostile || !dull.test(name)) : hostile)
  const put = (seen || []).filter(({ identity }) => identity)
  $('fell').replaceChildren(...(gone.length ? gone.map(({ name, value, hostile }) => line(`${name}: ${shorten(value, 60)}`, hostile ? 'gone' : 'dropped')) : [none(t.nothing)]))
  $('put').replaceChildren(...(put.length ? put.map(({ name, value }) => line(`${name}: ${value}`, 'set')) : [none(t.nothing)]))
  $('saw').replaceChildren(...(seen ? seen.map(({ name, value, identity }) => line(`${name}: ${shorten(value, 60)}`, identity ? 'set' : '')) : [none(last ? t.heardNothing : t.seenNobody)]))
  $('token').textContent = token() ? opened(token()) : t.noToken
  drawStrip()
}

// drawStrip shows how the gateway is, as far as the simulator is told.
function drawStrip() {
  const t = T()
  const { live, last_errcode: errcode } = page.state
  const entry = (name, value, bad) => make('div', {}, make('dt', { textContent: name }), make('dd', { textContent: value, className: bad ? 'bad' : '' }))
  $('strip').replaceChildren(
    ...(live ? [
      entry(t.sessions, live.sessions < 0 ? '?' : String(live.sessions)),
      entry(t.breaker, t.breakers[live.breaker] || live.breaker, live.breaker !== 'closed')
    ] : []),
    entry(t.last, errcode ? `${errcode}${t.codes[errcode] ? ' ' + t.codes[errcode] : ''}` : t.none, !!errcode))
}
