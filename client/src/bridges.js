// What leads from a Mini Program elsewhere: into a web-view, to addresses that
// need no header, and to a browser that waits for a login.

import { Answer, failure, refusal } from './answer.js'
import { Call, target } from './call.js'
import { entryScene } from './platform.js'

const MAX_PATHS = 50 // in one request for signatures
const MAX_TEXT = 60000 // of their paths, in characters
const PICTURES = [1048, 1049] // scenes: the code came from a picture, which somebody may have sent

// ask calls a route of the gateway with the token, and gives the answer's data.
export function ask(client, what, path, data) {
  const options = { url: client.prefix + path }
  if (data) Object.assign(options, { method: 'POST', data, header: { 'content-type': 'application/json' } })
  return new Call(client, 'request', options).promise.then((res) => {
    const answer = new Answer(res)
    if (answer.status < 200 || answer.status > 299) throw refusal(what, answer)
    return res.data
  })
}

// pathOf is the path of a URL as it is sent, and originOf what is in front.
function pathOf(client, url) {
  return target(client.base, url).slice(originOf(client).length) || '/'
}

function originOf(client) {
  return /^https?:\/\/[^/]+/i.exec(client.base)[0]
}

function attempt(make) {
  return new Promise((resolve) => resolve(make()))
}

// webViewURL gives an address for <web-view>, which works once.
export function webViewURL(client, url) {
  return attempt(() => ask(client, 'webViewURL', '/ticket', { to: pathOf(client, url) })).then((data) => data.url)
}

// A Signer gets addresses that work without a header, for <image> and <video>.
// What is asked for at once is one request; what still has half of its time is
// given again.
export class Signer {
  constructor(client) {
    this.client = client
    this.known = {} // by time and path: { url, again, promise }
    this.owner = '' // whose they are
    this.wanted = []
  }

  sign(url, expiresIn) {
    return attempt(() => {
      const path = pathOf(this.client, url)
      this.forgetOthers()
      const key = (expiresIn || '') + ' ' + path
      const known = this.known[key]
      if (known && Date.now() < known.again) return known.promise
      const entry = { path, expiresIn, again: Infinity }
      entry.promise = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }))
      entry.promise.catch(() => {
        if (this.known[key] === entry) delete this.known[key]
      })
      this.known[key] = entry
      this.wanted.push(entry)
      if (this.wanted.length === 1) Promise.resolve().then(() => this.flush())
      return entry.promise
    })
  }

  // forgetOthers drops what another session was given: it ends with it.
  forgetOthers() {
    const session = this.client.session
    session.sync()
    const owner = session.epoch + ' ' + (session.current ? session.current.id : '')
    if (owner !== this.owner) this.known = {}
    this.owner = owner
  }

  flush() {
    const wanted = this.wanted
    this.wanted = []
    Object.keys(this.known).forEach((key) => {
      if (this.known[key].again <= Date.now()) delete this.known[key]
    })
    let batch = []
    let size = 0
    wanted.forEach((entry) => {
      const fits = batch.length < MAX_PATHS && size + entry.path.length < MAX_TEXT
      if (batch.length && (!fits || batch[0].expiresIn !== entry.expiresIn)) {
        this.request(batch)
        batch = []
        size = 0
      }
      batch.push(entry)
      size += entry.path.length
    })
    this.request(batch)
  }

  request(batch) {
    const one = batch.length === 1
    const data = one ? { path: batch[0].path } : { paths: batch.map((entry) => entry.path) }
    if (batch[0].expiresIn) data.expires_in = batch[0].expiresIn
    ask(this.client, 'signedURL', '/sign', data).then(
      (answer) => {
        const urls = one ? [answer.url] : answer.urls
        batch.forEach((entry, i) => this.settle(entry, urls && urls[i], answer.expires_in))
      },
      (err) => {
        // One bad path must not cost the others.
        if (!one && err.statusCode === 400) batch.forEach((entry) => this.request([entry]))
        else batch.forEach((entry) => entry.reject(err))
      }
    )
  }

  settle(entry, url, expiresIn) {
    if (typeof url !== 'string') return entry.reject(failure('signedURL:fail no url'))
    entry.again = Date.now() + (Number(expiresIn) || 0) * 500
    entry.resolve(url.charAt(0) === '/' ? originOf(this.client) + url : url)
  }
}

// scanner answers a browser that shows a code: describe what asks, approve it
// with the number that the browser shows, or deny it.
export function scanner(client) {
  const send = (verb, data) => {
    if (verb !== 'deny' && PICTURES.indexOf(entryScene(client.platform)) >= 0) {
      return Promise.reject(failure('scan:fail the code came from a picture', { error: 'scan_picture' }))
    }
    return ask(client, 'scan', '/scan/' + verb, data)
  }
  return {
    describe: (scene) => send('describe', { scene }),
    approve: (scene, number) => send('approve', { scene, number }),
    deny: (scene) => send('deny', { scene })
  }
}
