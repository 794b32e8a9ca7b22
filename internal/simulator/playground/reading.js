// What can be read from a request and its answer.
import { page, T } from './page.js'

// headersSeen reads the headers the app shows: one a line, or as JSON.
export function headersSeen(res) {
  if (res.statusCode !== 200) return null
  if (res.data && typeof res.data === 'object') {
    return res.data.headers && typeof res.data.headers === 'object' ? Object.entries(res.data.headers).map(([name, value]) => [name, String(value)]) : null
  }
  const lines = String(res.data).trimEnd().split('\n')
  const pairs = lines.map((line) => /^([!#-'*+\-.^-z|~A-Za-z0-9]+): ?(.*)$/.exec(line))
  return lines.length && pairs.every(Boolean) ? pairs.map((m) => [m[1], m[2]]).filter(([, value]) => value !== '') : null
}

export const valueOf = (headers, name) => (headers.find(([n]) => n.toLowerCase() === name) || [])[1]
const isAlias = (name) => /^x[^a-z0-9](openid|unionid|appid)$/i.test(name)
const isIdentity = (name) => /^x-(openid|unionid|appid|wechat-user-id)$/i.test(name)
const has = (list, name, value) => list.some(([n, v]) => n.toLowerCase() === name.toLowerCase() && (value === undefined || v === value))

// compare says what became of a request: what was sent and whether it was removed,
// and what the app saw, null if that is not known.
export function compare({ path, answer }) {
  let data = answer.body
  try { data = JSON.parse(answer.body) } catch { /* text it is */ }
  const pairs = answer.sent.trimEnd().split('\r\n').slice(1).map((text) => [text.slice(0, text.indexOf(':')), text.slice(text.indexOf(':') + 2)])
  const seen = path.startsWith(page.state.prefix + '/') ? null : headersSeen({ statusCode: answer.status, data })
  const sent = pairs.map(([name, value]) => ({
    name, value,
    hostile: isAlias(name) || /x-openid/i.test(value),
    removed: !!seen && !has(seen, name, value) && name !== 'Host'
  }))
  return {
    sent,
    seen: seen && seen.map(([name, value]) => ({ name, value, identity: isIdentity(name), added: !has(pairs, name) })),
    refused: data && data.error ? data.error : '',
    data
  }
}

// explain says what came of a call, how to show it, and whether it is the gateway's
// word about the user that he is refused.
export function explain(res) {
  const code = res.data && res.data.error
  if (code) return refusal(res.statusCode, code)
  const headers = headersSeen(res)
  if (!headers) return [T().calledOther(res.statusCode), res.statusCode < 400 ? 'good' : 'bad', false]
  const id = valueOf(headers, 'x-openid')
  return id ? [T().calledAs(id, valueOf(headers, 'x-unionid')), 'good', false] : [T().calledNobody, '']
}

// refusal says how the gateway refused, and when it asks WeChat again.
function refusal(status, code) {
  const last = page.exchanges[0] && page.exchanges[0].answer
  const wait = last && last.status === status && status === 503 && valueOf(last.headers, 'retry-after')
  return [T().refused(status, code) + (wait ? T().again(wait) : ''), 'bad', true]
}

export const explainError = (err) => err.error ? refusal(err.statusCode, err.error) : [T().failed(err.errMsg || err.message), 'bad']

// asCurl is the request as somebody would type it.
export function asCurl({ method, path, headers, body }) {
  const quote = (text) => "'" + text.replaceAll("'", "'\\''") + "'"
  const parts = ['curl -i' + (method === 'GET' ? '' : ' -X ' + method), quote(page.state.gateway + path)]
  for (const [name, value] of headers) parts.push('-H ' + quote(value === '' ? name + ';' : `${name}: ${value}`))
  if (body) parts.push('-d ' + quote(body))
  return parts.join(' \\\n  ')
}

// opened shows what is in a token.
export function opened(text) {
  const part = (n) => JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(text.split('.')[n].replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0))))
  try {
    return JSON.stringify(part(0), null, 1) + '\n' + JSON.stringify(part(1), null, 1)
  } catch {
    return text
  }
}
