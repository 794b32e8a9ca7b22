// The browsers of the users, in WeChat and on a computer, each with its cookies.
import { page } from './page.js'
import { ask, send } from './phone.js'

const AGENTS = {
  wechat: 'Mozilla/5.0 (Linux; Android 14; simulated) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36 MicroMessenger/8.0.50',
  computer: 'Mozilla/5.0 (X11; Linux x86_64; simulated) AppleWebKit/537.36 Chrome/130.0 Safari/537.36'
}
const jars = new Map() // user and browser → cookies

function jar(kind) {
  const key = kind + ' ' + page.user
  if (!jars.has(key)) jars.set(key, new Map())
  return jars.get(key)
}

function keep(cookies, headers) {
  for (const [name, value] of headers) {
    if (name.toLowerCase() !== 'set-cookie') continue
    const [, key, text] = /^([^=]*)=([^;]*)/.exec(value)
    if (/;\s*max-age=0\b/i.test(value)) cookies.delete(key)
    else cookies.set(key, text)
  }
}

// browse asks for consent, as a button of a page does, and goes where it is sent: to
// WeChat, where the user agrees, and back. What it ends at is returned like an answer
// to wx.request.
export async function browse(kind, to) {
  const { gateway, prefix } = page.state
  const cookies = jar(kind)
  let path = prefix + '/authorize?scope=userinfo&to=' + encodeURIComponent(to)
  for (let hops = 0; hops < 12; hops++) {
    const headers = [
      ['User-Agent', AGENTS[kind]], ['Accept', 'text/html,*/*;q=0.8'],
      ['Sec-Fetch-Mode', 'navigate'], ['Sec-Fetch-Dest', 'document'], ['Sec-Fetch-Site', hops ? 'cross-site' : 'same-origin'],
      ...(cookies.size ? [['Cookie', [...cookies].map((pair) => pair.join('=')).join('; ')]] : [])
    ]
    const answer = await send({ method: 'GET', path, headers })
    keep(cookies, answer.headers)
    const [, location] = answer.headers.find(([name]) => name.toLowerCase() === 'location') || []
    if (answer.status < 300 || answer.status > 399 || !location) return { statusCode: answer.status, data: answer.body }
    let next = new URL(location, gateway)
    if (next.origin !== gateway) next = new URL((await ask('consent', { url: next.href, user: page.user })).callbacks[0])
    path = next.pathname + next.search
  }
  return { statusCode: 508, data: '' }
}
