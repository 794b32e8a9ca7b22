// The phones of the users, and the platform that the client runs on.
import { $, page } from './page.js'

export async function ask(path, body) {
  const res = await fetch('/simulator/' + path, body === undefined ? {} : {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body)
  })
  const answer = await res.json()
  if (!res.ok) throw new Error(answer.error || String(res.status))
  return answer
}

export const appID = () => $('app').value || undefined
const stores = new Map() // user → what their phone has in storage

function store(name) {
  if (!stores.has(name)) stores.set(name, new Map())
  return stores.get(name)
}

// onExchange is told of every request that was answered, and may take its time.
let onExchange = () => {}
export const watch = (listener) => { onExchange = listener }

// send sends one request to the gateway, byte for byte.
export async function send({ method, path, headers, body = '' }) {
  const reason = page.why
  const answer = await ask('gateway', { method, path, headers, body })
  await onExchange({ method, path, headers, body, answer, reason })
  return answer
}

function makeWx(name, storage) {
  return {
    login({ success, fail }) {
      ask('code', { user: name, appid: appID() }).then(({ code }) => success({ code, errMsg: 'login:ok' }), (err) => fail({ errMsg: 'login:fail ' + err.message }))
    },
    request({ url, method = 'GET', data, header = {}, success, fail }) {
      const headers = Object.entries({ 'User-Agent': 'MicroMessenger (simulated)', ...header })
      const body = data === undefined ? '' : typeof data === 'string' ? data : JSON.stringify(data)
      const path = url.slice(page.state.gateway.length)
      send({ method, path, headers, body }).then((answer) => {
        let parsed = answer.body
        try { parsed = JSON.parse(answer.body) } catch { /* text it is */ }
        success({ statusCode: answer.status, header: Object.fromEntries(answer.headers), data: parsed, errMsg: 'request:ok' })
      }).catch((err) => fail({ errMsg: 'request:fail ' + err.message }))
    },
    getStorageSync: (key) => storage.get(key) || '',
    setStorageSync: (key, value) => { storage.set(key, value) },
    removeStorageSync: (key) => { storage.delete(key) }
  }
}

export const who = () => page.user + ' ' + appID()
const clients = new Map()

export function client() {
  const key = who()
  if (!clients.has(key)) clients.set(key, newClient(store(key)))
  return clients.get(key)
}

// newClients makes all phones start again; what they have stored stays.
export const newClients = () => clients.clear()

export function newClient(storage) {
  const { state } = page
  return caddyWechat.createClient({
    baseURL: state.gateway, prefix: state.prefix, wx: makeWx(page.user, storage),
    appid: state.apps.length > 1 ? appID() : undefined, maxRetryAfter: 5
  })
}

export const saved = () => [...store(who()).values()][0] || {}
export const token = () => saved().token
