// Encrypted data of wx (run steps, group ids, …), which the app has decrypted by
// the gateway. It belongs to the session_key of the latest login.

import { failure } from './answer.js'
import { Call, tell, timeLimit } from './call.js'
import { within } from './platform.js'

const STALE = 'session_key_stale'

// openData gives what the app needs of a result of wx, or sends it to the app if
// it is told where. A source that is a function is asked after the login, and
// once more if the app says that the key is stale.
export function openData(client, source, given) {
  const settings = Object.assign({}, given)
  const { success, fail, complete } = settings
  ;['success', 'fail', 'complete'].forEach((key) => delete settings[key])
  const limit = timeLimit(settings)
  const session = client.session
  session.sync()
  const epoch = session.epoch
  let over = false
  const timeout = () => {
    over = true
    return { errMsg: 'openData:fail timeout' }
  }
  const obtain = () => Promise.resolve(typeof source === 'function' ? source() : source).then(bodyOf)
  const send = () =>
    obtain().then((data) => {
      if (over) throw timeout()
      if (!session.isAt(epoch)) throw failure('openData:fail logged out')
      if (!given) return data
      const options = Object.assign({ method: 'POST' }, settings, { data: Object.assign({}, settings.data, data) })
      return new Call(client, 'request', options).promise
    })
  const told = session
    .ready(epoch)
    .then(send)
    .then((res) => {
      if (!given || !isStale(res)) return res
      if (!session.isAt(epoch)) return res
      return session.begin().then(() => {
        if (typeof source === 'function') return send()
        throw failure('openData:fail ' + STALE, { error: STALE, statusCode: res.statusCode, data: res.data })
      })
    })
  const promise = limit ? within(told, limit, timeout) : told
  tell(promise, success, fail, complete)
  return promise
}

function bodyOf(res) {
  const { encryptedData, iv } = res || {}
  if (!encryptedData || !iv) throw failure('openData:fail no encryptedData', { data: res })
  return { encrypted_data: encryptedData, iv }
}

// isStale says whether the app passes on that answer of the gateway. The app
// answers in its own name, so its words count, and only here.
function isStale(res) {
  let data = res.data
  try {
    if (typeof data === 'string') data = JSON.parse(data)
  } catch (e) {
    return false
  }
  return Number(res.statusCode) === 409 && Boolean(data) && data.error === STALE
}
