// One call of the app: a request, an upload or a download, with its login,
// repeats and events.

import { Answer, refusal } from './answer.js'
import { Attempt, Listeners } from './events.js'
import { invoke, later, removeFile } from './platform.js'

const MAX_TRIP_BODY = 65536 // of a request with a code, bytes
// Refusals of a request with a code after which a login of its own may do.
const LOGS_IN_ALONE = ['code_used', 'code_rejected', 'invalid_request', 'login_required', 'too_early', 'body_too_large']
const SAFE_TO_REPEAT = ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']

export class Call {
  // client has what calls share: platform, base, prefix, session, queues, jar,
  // timeout and maxWait.
  constructor(client, kind, given) {
    const settings = Object.assign({}, given)
    const { success, fail, complete } = settings
    this.client = client
    this.kind = kind
    this.guest = settings.guest
    client.session.sync()
    this.epoch = client.session.epoch
    this.may = { login: true, newer: true, wait: true }
    this.listeners = new Listeners()
    this.attempt = null // the latest
    this.refusedFile = null // what a refusal was saved as
    this.over = false
    this.cancel = () => {} // ends the step under way
    this.settings = settings
    ;['success', 'fail', 'complete', 'guest'].forEach((key) => delete settings[key])
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    tell(this.promise, success, fail, complete)
    this.promise.abort = () => this.stop({ errMsg: kind + ':fail abort' })
    this.listeners.offer(this.promise)
    this.listeners.onFirst = (event) => this.attempt && this.attempt.hear(event)
    this.start()
  }

  start() {
    const limit = timeLimit(this.settings)
    this.deadline = limit === undefined ? Infinity : Date.now() + limit
    if (limit !== undefined) this.timer = later(limit, () => this.stop({ errMsg: this.kind + ':fail timeout' }))
    new Promise((resolve) => {
      this.settings.url = target(this.client.base, this.settings.url)
      resolve(this.mayTrip() ? this.trip() : this.begin())
    }).then(
      (answer) => this.finish(answer),
      (err) => this.stop(err)
    )
  }

  begin() {
    return Promise.resolve(this.session())
      .then((session) => this.check(session))
      .then((session) => this.send(session))
  }

  // mayTrip says whether the login may go with this request.
  mayTrip() {
    if (!this.client.oneTrip || this.guest || this.kind !== 'request') return false
    return sizeOf(this.settings.data) <= MAX_TRIP_BODY && this.client.session.mayTrip()
  }

  // trip sends the request with a code instead of a token.
  trip() {
    const session = this.client.session
    return session.beginTrip().then(({ trip, given }) =>
      this.transmit(given).then((answer) => {
        const now = session.endTrip(trip, answer)
        if (now || answer.code === undefined) return this.judge(now, answer)
        this.attempt.drop()
        if (LOGS_IN_ALONE.indexOf(answer.code) >= 0) return this.begin()
        if (this.waits(answer) !== undefined) return this.judge(null, answer)
        const err = refusal('login', answer)
        session.refuse(err)
        throw err
      })
    )
  }

  // stop ends the call now, with an error. What comes later is dropped.
  stop(err) {
    if (!this.close()) return
    if (this.attempt) this.attempt.drop() // first, as an abort may tell events
    this.cancel(err)
    this.reject(err)
  }

  finish(answer) {
    if (!this.close()) return
    this.attempt.end(answer.code !== undefined)
    this.resolve(answer.result())
  }

  close() {
    if (this.over) return false
    this.over = true
    clearTimeout(this.timer)
    removeFile(this.client.platform, this.refusedFile)
    return true
  }

  session() {
    return this.guest ? null : this.client.session.ready(this.epoch)
  }

  // check tries the token on the gateway before an upload whose progress is
  // watched: the progress of an upload that is refused would be nobody's.
  check(session) {
    if (!session || this.over || this.kind !== 'uploadFile' || !this.listeners.has('ProgressUpdate')) return session
    const probe = new Call(this.client, 'request', { url: this.client.prefix + '/session' })
    this.cancel = (err) => probe.stop(err)
    // A check that gets lost is no reason not to try.
    const go = () => (this.over || !this.client.session.isAt(this.epoch) ? session : this.session())
    return probe.promise.then(go, go)
  }

  send(session) {
    return this.transmit(session).then((answer) => this.judge(session, answer))
  }

  // judge repeats what may be repeated, or gives the answer to the caller.
  judge(session, answer) {
    const seconds = this.waits(answer)
    if (seconds !== undefined) {
      this.may.wait = false
      this.attempt.drop()
      return this.pause(seconds).then(() => {
        if (!this.guest && !this.client.session.isAt(this.epoch)) return answer
        return Promise.resolve(this.session()).then((other) => this.send(other))
      })
    }
    if (!session || !this.may.login || !answer.refusesToken()) return answer
    return this.client.session.replace(session, answer.code, this.epoch, this.may).then((other) => {
      if (!other) return answer
      this.attempt.drop()
      return this.send(other)
    })
  }

  // waits is for how many seconds the call waits before it is sent once more. A
  // refusal of the gateway never reached the app.
  waits(answer) {
    const seconds = answer.retryAfter()
    if (seconds === undefined || seconds > this.client.maxWait || !this.may.wait) return undefined
    if (Date.now() + seconds * 1000 >= this.deadline) return undefined
    return answer.code !== undefined || SAFE_TO_REPEAT.indexOf(this.method()) >= 0 ? seconds : undefined
  }

  method() {
    return this.kind === 'uploadFile' ? 'POST' : String(this.settings.method || 'GET').toUpperCase()
  }

  pause(seconds) {
    return new Promise((resolve) => {
      const timer = later(seconds * 1000, resolve)
      this.cancel = () => clearTimeout(timer)
    })
  }

  // transmit sends once, in turn.
  transmit(session) {
    return new Promise((resolve, reject) => {
      if (this.over) return // nobody waits for it
      let begun = false
      const withdraw = this.client.queues[this.kind].enter((leave) => {
        begun = true
        const attempt = new Attempt(this.kind, this.listeners, (answer) => this.isFinal(answer))
        this.attempt = attempt
        const options = Object.assign({}, this.settings, { header: this.header(session) })
        const limit = timeLimit(this.settings) || this.client.timeout
        const sent = invoke(this.client.platform, this.kind, options, limit, (task) => attempt.watch(task))
        this.cancel = sent.cancel
        sent.promise.then(leave, leave)
        sent.promise.then((res) => this.read(res, session)).then(resolve, reject)
      }, reject)
      if (!begun) this.cancel = withdraw
    })
  }

  header(session) {
    const header = withToken(this.settings.header, session)
    const jar = this.jar()
    return jar ? jar.addTo(header, this.settings.url) : header
  }

  // jar has the cookies of this call's user; none after a logout.
  jar() {
    return this.client.jar && this.client.session.isAt(this.epoch) ? this.client.jar : null
  }

  // read finds out whose answer it is. Where no header is shown at all, the
  // gateway is asked whether it refuses the token.
  read(res, session) {
    const answer = new Answer(res, this.attempt.header)
    if (answer.header || answer.status !== 401 || !session || !session.token) return this.note(answer)
    return this.client.session.refuses(session).then((code) => {
      answer.code = code
      return this.note(answer)
    })
  }

  note(answer) {
    if (this.over) return answer
    const jar = answer.code === undefined ? this.jar() : null
    if (jar) jar.take(answer, this.settings.url)
    if (this.kind === 'downloadFile') {
      this.refusedFile = answer.code === undefined ? null : answer.res.filePath || this.settings.filePath
      if (answer.code !== undefined) removeFile(this.client.platform, answer.res.tempFilePath)
    }
    return answer
  }

  // isFinal says by its headers that an answer is not the gateway's and will
  // not be asked for again.
  isFinal(answer) {
    return answer.code === undefined && this.waits(answer) === undefined
  }
}

// timeLimit is the time that the caller gives, in ms.
export function timeLimit(settings) {
  const ms = Number(settings.timeout)
  return ms > 0 ? ms : undefined
}

// target is where a call goes. Another server must not get the token.
export function target(base, url) {
  if (typeof url === 'string') {
    if (url.charAt(0) === '/') return base + url
    if (url === base || url.indexOf(base + '/') === 0 || url.indexOf(base + '?') === 0) return url
  }
  throw new TypeError('url must begin with / or with baseURL')
}

export function withToken(header, session) {
  const all = Object.assign({}, header)
  if (!session) return all
  Object.keys(all).forEach((name) => {
    if (name.toLowerCase() === 'authorization') delete all[name]
  })
  all.Authorization = session.token ? 'Bearer ' + session.token : withCode(session)
  return all
}

function withCode({ code, nonce, appid }) {
  return `WeChat-Code code="${code}", nonce="${nonce}"` + (appid ? `, appid="${appid}"` : '')
}

// sizeOf is how long a body can become, in bytes.
function sizeOf(data) {
  if (data === undefined || data === null) return 0
  if (typeof data.byteLength === 'number') return data.byteLength
  try {
    return 3 * (typeof data === 'string' ? data : JSON.stringify(data)).length
  } catch (e) {
    return Infinity
  }
}

// tell calls wx's callbacks, and says whether there are any.
export function tell(promise, success, fail, complete) {
  if (!success && !fail && !complete) return false
  promise.then(
    (res) => callBack(success, complete, res),
    (err) => callBack(fail, complete, err)
  )
  return true
}

// callBack calls complete also if the one before throws, as wx does.
export function callBack(first, complete, value) {
  try {
    if (first) first(value)
  } finally {
    if (complete) complete(value)
  }
}
