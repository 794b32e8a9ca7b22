import { refusal, Answer } from './answer.js'
import { Call, target, timeLimit, withToken } from './call.js'
import { within } from './platform.js'

// openSocket tries the token on the gateway before the socket is opened with
// it: a 401 at a handshake does not show everywhere as one.
export function openSocket(client, given) {
  const settings = Object.assign({}, given)
  const { success, fail, complete, guest } = settings
  const limit = timeLimit(settings)
  const timeout = () => ({ errMsg: 'connectSocket:fail timeout' })
  let over = false
  // failed is for what goes wrong before the platform tells it by itself.
  const failed = (err) => {
    if (!over && fail) fail(err)
    if (!over && complete) complete(err)
    over = true
    return err
  }
  delete settings.guest
  const opened = new Promise((resolve) => {
    settings.url = target(client.base, String(settings.url).replace(/^ws(s?:)/i, 'http$1'))
    resolve(guest ? null : client.session.ready())
  })
    .then((session) => {
      if (!session) return null
      const check = { url: client.prefix + '/session' }
      if (limit) check.timeout = limit
      return new Call(client, 'request', check).promise.then((res) => {
        if (Number(res.statusCode) !== 200) throw refusal('connectSocket', new Answer(res))
        return client.session.current
      })
    })
    .catch((err) => {
      throw failed(err)
    })
    .then((session) => {
      if (over) throw timeout()
      const header = withToken(settings.header, session)
      const options = Object.assign({}, settings, {
        url: settings.url.replace(/^http/i, 'ws'),
        header: client.jar ? client.jar.addTo(header, settings.url) : header,
        success: success || (() => {}) // uni-app returns the task only if there is a callback
      })
      return within(Promise.resolve(client.platform.connectSocket(options)), client.timeout, timeout)
    })
  if (!limit) return opened
  return within(opened, limit, () => failed(timeout()))
}
