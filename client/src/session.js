// The session at the gateway: who it is, how it begins, goes on and ends.

import { failure, refusal } from './answer.js'
import { GATEWAY_TIMEOUT } from './gateway.js'
import { invoke, isSinglePage, pause, within } from './platform.js'

const LOGIN_LIMIT = 60000 // of all that belongs to one login, ms
const REPEATS = [500, 2000] // pauses before a login whose answer was lost is sent again, ms
const RENEW_AGAIN = 60000 // after a renewal that failed, ms
const MAX_REFUSED = 3600 // a longer Retry-After is not believed, s
const REFUSED_FIRST = 10000 // after a login refused without Retry-After, ms; doubled each time
const REFUSED_LAST = 300000
const TRIP_LIFE = 50000 // of a code and nonce; the gateway knows them for a minute, ms

export class Session {
  constructor(platform, gateway, record, options) {
    this.platform = platform
    this.gateway = gateway
    this.record = record
    this.appid = options.appid
    this.maxWait = options.maxWait
    this.onLogout = options.onLogout
    this.current = null // { id, token, since, renewAt, expiresAt }
    this.loggedOut = false // by logout(), until login()
    this.epoch = 0 // counts logouts, of any copy: what began before one must not log in after it
    this.seq = -1 // counts what was written to storage, by any copy of the client
    this.login = null // the login under way
    this.trip = null // { epoch, credential, until }: the login that a request carries
    this.renewing = null // the token that is being renewed
    this.refused = null // { since, until, error, asked }: the gateway wants no login for now
    this.refusals = 0 // since the last login
    this.sync()
  }

  // ---- memory and storage

  // sync takes over what another copy of the client has stored since: in a
  // subpackage or a plugin of the same Mini Program.
  sync() {
    const saved = this.record.read()
    if (!saved) return
    const seq = Number(saved.seq) || 0
    if (seq <= this.seq) return
    this.seq = seq
    const valid = typeof saved.token === 'string' && saved.token && saved.expiresAt > 0
    this.current = valid
      ? { id: saved.id, token: saved.token, since: saved.since, renewAt: saved.renewAt, expiresAt: saved.expiresAt }
      : null
    this.loggedOut = saved.loggedOut === true
    if (saved.epoch > this.epoch) {
      this.epoch = saved.epoch
      this.login = null
      this.trip = null
      this.onLogout(false)
    }
  }

  save() {
    this.seq++
    this.record.write(Object.assign({ seq: this.seq, epoch: this.epoch, loggedOut: this.loggedOut }, this.current))
  }

  // keep takes a token. A renewed one that lives no longer than the one before
  // is the session's last, so it is not renewed again.
  keep(data, before) {
    const since = Date.now()
    const life = Math.max(0, Number(data.expires_in) || 0) * 1000
    const expiresAt = since + life
    const last = before && expiresAt <= before.expiresAt
    const id = before ? before.id : this.seq + 1 // tokens of one login share their end
    this.current = { id, token: data.token, since, expiresAt, renewAt: last ? expiresAt : since + life / 2 }
    this.save()
    return this.current
  }

  forget() {
    this.current = null
    this.save()
  }

  // ---- logging in

  // credential is a code of wx.login with the nonce that makes it ours. One that
  // went with a request, and of which nobody knows what became, comes first.
  credential() {
    const trip = this.trip
    this.trip = null
    if (trip && Date.now() < trip.until) return trip.credential
    return this.newCode().then((code) => ({ code, nonce: makeNonce() }))
  }

  newCode() {
    return invoke(this.platform, 'login', { timeout: GATEWAY_TIMEOUT }, GATEWAY_TIMEOUT).promise.then((res) => {
      if (res.code) return res.code
      throw failure('login:fail no code', { data: res })
    })
  }

  // exchange turns a code of wx.login into a token. It takes at most one fresh
  // code and waits at most once.
  exchange(attempt) {
    const wanted = () => attempt.epoch === this.epoch && !attempt.over
    if (!wanted()) return Promise.reject(loggedOut())
    if (this.isRefused()) return Promise.reject(this.refused.error)
    return this.credential()
      .then((body) => {
        if (this.appid) body.appid = this.appid
        return this.gateway.persist('POST', '/login', body, undefined, REPEATS, wanted)
      })
      .then((answer) => {
        if (hasToken(answer)) return answer.res.data
        const error = refusal('login', answer)
        if ((error.error === 'code_used' || error.error === 'code_rejected') && attempt.freshCode) {
          attempt.freshCode = false
          return this.exchange(attempt)
        }
        if (attempt.wait && error.retryAfter <= this.maxWait) {
          attempt.wait = false
          return pause(error.retryAfter * 1000).then(() => this.exchange(attempt))
        }
        this.refuse(error)
        throw error
      })
  }

  // refuse remembers that the gateway wants no login, so that a page that polls
  // makes no storm of them.
  refuse(error) {
    const since = Date.now()
    const asked = error.retryAfter > 0
    const growing = Math.min(REFUSED_FIRST * Math.pow(2, this.refusals), REFUSED_LAST)
    const ms = asked ? Math.min(error.retryAfter, MAX_REFUSED) * 1000 : growing
    if (!asked) this.refusals++
    this.refused = { since, until: since + ms, error, asked }
  }

  isRefused() {
    const now = Date.now()
    return this.refused !== null && now >= this.refused.since && now < this.refused.until
  }

  // logIn starts a login, or joins the one under way.
  logIn() {
    if (this.login) return this.login
    const attempt = { epoch: this.epoch, freshCode: true, wait: true, over: false }
    const exchanged = this.exchange(attempt).then((data) => {
      this.sync()
      if (attempt.over) throw timeout()
      if (attempt.epoch === this.epoch) {
        this.succeed()
        return this.keep(data)
      }
      const thrown = () => {
        throw loggedOut() // meanwhile; so what has come of it is ended
      }
      return this.end(data.token).then(thrown, thrown)
    })
    const run = within(exchanged, LOGIN_LIMIT, () => {
      attempt.over = true
      return timeout()
    })
    const done = () => {
      if (this.login === run) this.login = null
    }
    this.login = run
    run.then(done, done)
    return run
  }

  // ---- logging in with a request, in one trip

  // mayTrip says whether a request may carry the login. One at a time does.
  mayTrip() {
    this.sync()
    const alive = this.current && Date.now() < this.current.expiresAt
    const idle = !alive && !this.login && !this.trip && !this.loggedOut
    return idle && !this.isRefused() && !isSinglePage(this.platform)
  }

  // beginTrip gives what the request carries. A login that starts meanwhile uses
  // the same code and nonce, and so gets the same token.
  beginTrip() {
    const credential = this.newCode().then((code) => ({ code, nonce: makeNonce(), appid: this.appid }))
    const trip = { epoch: this.epoch, credential, until: Date.now() + TRIP_LIFE }
    this.trip = trip
    credential.catch(() => {
      if (this.trip === trip) this.trip = null
    })
    return credential.then((given) => ({ trip, given }))
  }

  // endTrip takes the token that the answer has, and gives the session. Without
  // one the code is as good as it was, unless it was refused.
  endTrip(trip, answer) {
    const header = answer.header || {}
    const token = /^Bearer (.+)$/.exec(header.authorization || '')
    this.sync()
    if (!token) {
      if (answer.code !== undefined && this.trip === trip) this.trip = null
      return null
    }
    if (this.trip === trip) this.trip = null
    if (trip.epoch !== this.epoch) {
      this.end(token[1]).catch(() => {})
      return null
    }
    this.succeed()
    if (this.current && this.current.token === token[1]) return this.current // of a login beside it
    return this.keep({ token: token[1], expires_in: header['x-wechat-expires-in'] })
  }

  succeed() {
    this.refused = null
    this.refusals = 0
  }

  // begin is login(): asked for by the app, so a pause that nobody asked for
  // ends.
  begin() {
    if (isSinglePage(this.platform)) return Promise.reject(failure('login:fail not in single-page mode'))
    this.sync()
    if (this.refused && !this.refused.asked) this.refused = null
    if (this.loggedOut) {
      this.loggedOut = false
      this.save()
    }
    return this.logIn()
  }

  // ---- for requests

  // isAt says whether nobody has logged out since the epoch. Whoever is logged in
  // after a logout may be somebody else.
  isAt(epoch) {
    this.sync()
    return epoch === this.epoch
  }

  // ready gives the session to send a request of the epoch with: null for none.
  ready(epoch) {
    if (!this.isAt(epoch)) return Promise.reject(loggedOut())
    if (this.current && Date.now() < this.current.expiresAt) {
      this.renew(this.current)
      return Promise.resolve(this.current)
    }
    if (this.loggedOut || isSinglePage(this.platform)) return Promise.resolve(null)
    return this.logIn()
  }

  // renew runs beside the requests; none waits for it.
  renew(session) {
    if (this.renewing === session.token || this.login || Date.now() < session.renewAt) return
    this.renewing = session.token
    const failed = (seconds) => {
      session.renewAt = Date.now() + Math.max(RENEW_AGAIN, Math.min(seconds || 0, MAX_REFUSED) * 1000)
    }
    this.gateway
      .send('POST', '/renew', undefined, session.token)
      .then(
        (answer) => {
          this.sync()
          if (!this.current || this.current.token !== session.token) return // a login was faster; its token is newer
          if (hasToken(answer)) this.keep(answer.res.data, session)
          else if (answer.refusesToken()) this.forget()
          else failed(answer.retryAfter())
        },
        () => failed()
      )
      .then(() => {
        if (this.renewing === session.token) this.renewing = null
      })
  }

  // replace finds another session than the one that was refused with code; null
  // if the refusal is to reach the caller.
  replace(used, code, epoch, may) {
    if (!this.isAt(epoch) || this.loggedOut) return Promise.resolve(null)
    const ended = code === 'session_ended' && this.current && this.current.id === used.id
    if (this.current && this.current.token !== used.token && !ended) {
      // Somebody else was here already.
      if (!may.newer) may.login = false
      may.newer = false
      return Promise.resolve(this.current)
    }
    may.login = false
    if (this.current) this.forget()
    return isSinglePage(this.platform) ? Promise.resolve(null) : this.logIn()
  }

  // refuses asks the gateway about a token, where the platform hides the headers
  // of the answer that was refused.
  refuses(session) {
    return this.gateway.send('GET', '/session', undefined, session.token).then(
      (answer) => (answer.refusesToken() ? answer.code : undefined),
      () => undefined
    )
  }

  // ---- logging out

  end(token) {
    const always = () => true
    return this.gateway.persist('POST', '/logout', undefined, token, REPEATS.slice(0, 1), always).then((answer) => {
      // A 401 is as good as a 204: the token was worth nothing any more.
      if (answer.status >= 300 && answer.status !== 401) throw refusal('logout', answer)
    })
  }

  logout() {
    this.sync()
    const underWay = this.login
    const token = this.current && this.current.token
    this.epoch++
    this.login = null
    this.trip = null // what comes of it is ended
    this.current = null
    this.loggedOut = true
    this.save()
    this.onLogout(true)
    return Promise.resolve(underWay)
      .catch(() => {})
      .then(() => (token ? this.end(token) : undefined))
  }
}

function hasToken(answer) {
  const data = answer.res.data
  return answer.status === 200 && data && typeof data.token === 'string' && data.token !== ''
}

function loggedOut() {
  return failure('login:fail logged out')
}

function timeout() {
  return failure('login:fail timeout')
}

// makeNonce lets the gateway know the repeated login as ours. The code beside
// it is what keeps strangers out, so Math.random will do where nothing better
// is to be had.
function makeNonce() {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const bytes = new Uint8Array(32)
  if (typeof crypto === 'object' && crypto.getRandomValues) crypto.getRandomValues(bytes)
  else for (let i = 0; i < bytes.length; i++) bytes[i] = Math.floor(Math.random() * 256)
  return Array.from(bytes, (b) => alphabet[b & 63]).join('')
}
