import { ask, Signer, scanner, webViewURL } from './bridges.js'
import { Call } from './call.js'
import { callContainer } from './container.js'
import { Jar } from './cookies.js'
import { Gateway } from './gateway.js'
import { openData } from './opendata.js'
import { Record } from './platform.js'
import { Queue } from './queue.js'
import { Session } from './session.js'
import { openSocket } from './socket.js'

const CALL_TIMEOUT = 60000 // of a call without one of its own, as wx has it

export function createClient(options) {
  const platform = options.wx || (typeof wx === 'undefined' ? undefined : wx)
  const base = String(options.baseURL).replace(/\/+$/, '')
  const prefix = options.prefix === undefined ? '/wechat' : String(options.prefix).replace(/\/+$/, '')
  if (!platform) throw new TypeError('no wx: pass it to createClient')
  if (!/^https?:\/\/[^/?#@\\\s]+(\/[^?#\\\s]*)?$/i.test(base))
    throw new TypeError('baseURL must be like https://example.com')
  if (prefix.charAt(0) !== '/') throw new TypeError('prefix must begin with /')

  const key = 'caddy-wechat ' + (options.appid || '') + ' ' + base + prefix
  const maxWait = options.maxRetryAfter === undefined ? 10 : options.maxRetryAfter // seconds
  const jar = options.cookies ? new Jar(new Record(platform, key + ' cookies')) : null
  const session = new Session(platform, new Gateway(platform, base, prefix), new Record(platform, key), {
    appid: options.appid,
    maxWait,
    onLogout: (own) => jar && (own ? jar.clear() : jar.reload()) // cookies know the user, too
  })
  const client = {
    platform,
    base,
    prefix,
    session,
    jar,
    maxWait,
    oneTrip: options.oneTrip === true,
    timeout: options.timeout > 0 ? options.timeout : CALL_TIMEOUT,
    // wx runs 10 of a kind at once. Two places stay free for login and renew, or
    // slow requests could keep out the login that others wait for.
    queues: { request: new Queue(8), uploadFile: new Queue(10), downloadFile: new Queue(10) }
  }
  const signer = new Signer(client)
  const call = (kind) => (given) => new Call(client, kind, given).promise

  return {
    request: call('request'),
    uploadFile: call('uploadFile'),
    downloadFile: call('downloadFile'),
    callContainer: (given) => callContainer(client, given),
    openData: (source, given) => openData(client, source, given),
    connectSocket: (given) => openSocket(client, given),
    webViewURL: (url) => webViewURL(client, url),
    signedURL: (url, more) => signer.sign(url, more && more.expiresIn),
    scan: scanner(client),
    session: () => ask(client, 'session', '/session'),
    login: () =>
      session.begin().then((now) => ({ token: now.token, expires_in: Math.round((now.expiresAt - now.since) / 1000) })),
    logout: () => session.logout()
  }
}
