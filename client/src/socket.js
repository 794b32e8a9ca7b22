import { Answer, failure, refusal } from './answer.js'
import { Call, callBack, target, timeLimit, withToken } from './call.js'
import { within } from './platform.js'

// openSocket tries the token on the gateway before the socket is opened with
// it: a 401 at a handshake does not show everywhere as one.
export function openSocket(client, given) {
  const settings = Object.assign({}, given)
  const { success, fail, complete, guest } = settings
  const limit = timeLimit(settings)
  const session = client.session
  session.sync()
  const epoch = session.epoch
  let over = false
  let told = false
  // tell calls the caller's callbacks once, whoever else tells more.
  const tell = (callback, value) => {
    if (told) return
    told = true
    callBack(callback, complete, value)
  }
  const timeout = () => {
    over = true
    return { errMsg: 'connectSocket:fail timeout' }
  }
  // check tries the token.
  const check = (ready) => {
    if (!ready) return null
    const probe = { url: client.prefix + '/session' }
    if (limit) probe.timeout = limit
    return new Call(client, 'request', probe).promise.then((res) => {
      if (Number(res.statusCode) !== 200) throw refusal('connectSocket', new Answer(res))
      if (!session.isAt(epoch)) throw failure('connectSocket:fail logged out')
      return session.current
    })
  }
  const connect = (ready) => {
    if (over) throw timeout()
    const header = withToken(settings.header, ready)
    const jar = session.isAt(epoch) ? client.jar : null
    const options = Object.assign({}, settings, {
      url: settings.url.replace(/^http/i, 'ws'),
      header: jar ? jar.addTo(header, settings.url) : header
    })
    const task = new Promise((resolve, reject) => {
      // uni-app returns the task only if there is a callback.
      options.success = (res) => tell(success, res)
      options.fail = (err) => {
        reject(err)
        tell(fail, err)
      }
      resolve(client.platform.connectSocket(options))
    })
    task.then(
      (late) => over && closeSocket(late),
      () => {}
    )
    return within(task, client.timeout, timeout)
  }
  ;['success', 'fail', 'complete', 'guest'].forEach((key) => delete settings[key])
  const opened = new Promise((resolve) => {
    settings.url = target(client.base, String(settings.url).replace(/^ws(s?:)/i, 'http$1'))
    resolve(guest ? null : session.ready(epoch))
  })
    .then(check)
    .then(connect)
  const bounded = limit ? within(opened, limit, timeout) : opened
  bounded.catch((err) => tell(fail, err))
  return bounded
}

function closeSocket(task) {
  try {
    task.close({})
  } catch (e) {
    // there is none
  }
}
