// What attackers try.
import { $, make, page, T } from './page.js'
import { client, newClient, saved, token } from './phone.js'
import { headersSeen, valueOf } from './reading.js'

const FORGED = 'oFORGED-0000000000000000000'
export const call = (options) => client().request({ url: $('path').value, ...options })
export const use = (bearer, options) => call({ ...options, guest: true, header: { Authorization: 'Bearer ' + bearer } })

export async function signedIn() {
  if (saved().loggedOut) await client().login()
  await client().session() // logs in, also if the session was ended meanwhile
  return token()
}

// forgedHeader sends headers as the user and looks at what the app saw.
function forgedHeader(header) {
  return async () => {
    if (saved().loggedOut) await client().login()
    const res = await call({ header })
    const seen = headersSeen(res)
    if (!seen) return res.statusCode === 401 ? ['broken', T().erased] : ['unclear', T().unclearHeader]
    if (seen.some(([, value]) => value.includes('FORGED'))) return ['broken', T().brokenHeader]
    if (!valueOf(seen, 'x-openid')) return ['broken', T().erased]
    return ['held', 'X-UnionID' in header && !valueOf(seen, 'x-unionid') ? T().heldAbsent : T().heldHeader]
  }
}

function badToken(forge) {
  return async () => {
    const res = await use(await forge(await signedIn()))
    return res.statusCode === 401 ? ['held', T().refused(401, res.data.error)] : ['broken', T().brokenToken]
  }
}

const base64url = (text) => btoa(text).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')

export const FORGERIES = [
  ['header', forgedHeader({ 'X-OpenID': FORGED })],
  ['union', forgedHeader({ 'X-UnionID': FORGED })],
  ['underscore', forgedHeader({ X_OpenID: FORGED })],
  ['tilde', forgedHeader({ 'X~OpenID': FORGED })],
  ['connection', forgedHeader({ Connection: 'close, X-OpenID' })],
  ['bare', async () => {
    const res = await call({ guest: true, header: { 'X-OpenID': FORGED } })
    if (res.statusCode === 401) return ['held', T().refused(401, res.data.error)]
    const seen = headersSeen(res)
    if (!seen) return ['unclear', T().unclearHeader]
    return seen.some(([, value]) => value.includes('FORGED')) ? ['broken', T().brokenHeader] : ['held', T().calledNobody]
  }],
  ['altered', badToken((text) => {
    const at = text.indexOf('.') + 20 // among the claims
    return text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)
  })],
  ['none', badToken((text) => base64url('{"alg":"none","typ":"wxgw+jwt"}') + '.' + text.split('.')[1] + '.')],
  ['ended', badToken(async () => {
    const other = newClient(new Map())
    const { token } = await other.login()
    await other.logout()
    return token
  })]
].map(([key, run]) => ({ key, run }))

// forgetVerdicts takes back what was found out about forgeries.
export function forgetVerdicts() {
  for (const forgery of FORGERIES) forgery.result = null
}

export function drawForgeries() {
  const t = T()
  for (const forgery of FORGERIES) {
    forgery.button.firstChild.textContent = t.tries[forgery.key]
    forgery.button.disabled = !page.state.gateway
    forgery.mark.textContent = forgery.result ? t[forgery.result] : ''
    forgery.mark.className = 'mark ' + ({ held: 'good', broken: 'bad' }[forgery.result] || '')
  }
  const tried = FORGERIES.filter(({ result }) => result)
  const held = FORGERIES.filter(({ result }) => result === 'held').length
  $('score').textContent = `${tried.length ? held : '–'}/${FORGERIES.length}`
  $('score').className = 'ring ' + (tried.length === 0 ? '' : tried.length > held ? 'bad' : held === FORGERIES.length ? 'good' : '')
}

for (const forgery of FORGERIES) {
  forgery.mark = make('span', { className: 'mark' })
  forgery.button = make('button', { type: 'button', id: 'try-' + forgery.key }, make('span'), forgery.mark)
  $('tries').append(make('li', {}, forgery.button, make('output', { id: 'out-' + forgery.key })))
}
