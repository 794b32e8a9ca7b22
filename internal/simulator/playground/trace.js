// The list of what happened.
import { $, copy, line, make, page, say, shorten, T } from './page.js'
import { asCurl, compare } from './reading.js'

function side(title, ...children) {
  return make('div', { className: 'side' }, make('h3', { textContent: title }), make('div', { className: 'lines' }, ...children))
}

// bodyText shows a body without burying the page in a token.
function bodyText(body) {
  const text = body.length > 2000 ? body.slice(0, 2000) + ' …' : body
  return text.replace(/[\w-]{20,}\.[\w-]{20,}\.[\w-]{20,}/g, (found) => shorten(found))
}

function drawExchange(exchange, newest) {
  const { method, path, answer, body, reason } = exchange
  const { sent, seen, refused } = compare(exchange)
  const sides = make('div', { className: 'sides' })
  sides.append(side(T().sent, line(`${method} ${path}`, ''), ...sent.map(({ name, value, removed, hostile }) =>
    line(`${name}: ${shorten(value)}`, removed ? hostile ? 'gone' : 'dropped' : '', removed ? T().gone : '')), ...(body ? [line(body, '')] : [])))
  if (seen) {
    sides.append(side(T().received, ...seen.map(({ name, value, identity, added }) =>
      identity ? line(`${name}: ${value}`, 'set', T().set_) : line(`${name}: ${value}`, added ? 'added' : '', added ? T().added : ''))))
  } else {
    sides.append(side(T().answered, ...answer.headers.map(([name, value]) => line(`${name}: ${value}`, '')), ...(answer.body ? [line(bodyText(answer.body), '')] : [])))
  }
  const button = make('button', { type: 'button', className: 'small', textContent: T().copyCurl })
  button.addEventListener('click', () => copy(asCurl(exchange), (text) => { button.textContent = text; $('status').textContent = text }))
  sides.append(button)
  return make('li', {}, make('details', { open: newest },
    make('summary', {},
      make('span', { className: 'what', textContent: `${method} ${path}` }),
      make('span', { className: answer.status < 400 ? 'status' : 'status bad', textContent: answer.status + (refused ? ' ' + refused : '') }),
      make('span', { className: 'why', textContent: reason() })),
    sides))
}

export function drawTrace() {
  $('empty').hidden = page.exchanges.length > 0
  $('trace').replaceChildren(...page.exchanges.map((exchange, i) => drawExchange(exchange, i === 0)))
}

export function caddyfile() {
  const { apps, prefix } = page.state
  const ids = apps.length ? apps : ['wx1234567890abcdef']
  const inner = [...(ids.length > 1 ? ['app ' + ids.join(' ')] : []), ...(prefix === '/wechat' ? [] : ['prefix ' + prefix])]
  return [
    '{', '\twechat {', ...ids.map((id) => `\t\tapp ${id} {env.WECHAT_SECRET}`), '\t}', '}', '',
    'example.com {', inner.length ? '\twechat_auth {\n' + inner.map((text) => '\t\t' + text).join('\n') + '\n\t}' : '\twechat_auth',
    '\treverse_proxy 127.0.0.1:3000', '}', ''
  ].join('\n')
}

$('copy-caddyfile').addEventListener('click', () => copy(caddyfile(), (text) => {
  $('copy-caddyfile').textContent = text
  say('out-forge', text)
}))
