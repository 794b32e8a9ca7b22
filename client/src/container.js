import { failure, getHeader } from './answer.js'
import { Call, tell } from './call.js'

const OTHERS = ['path', 'config', 'service', 'verbose', 'followRedirect', 'success', 'fail', 'complete']

// callContainer has the options and results of wx.cloud.callContainer
// (微信云托管), so that a front end changes one import. What names the
// environment there names nothing here.
export function callContainer(client, given) {
  const settings = Object.assign({}, given)
  const { path, success, fail, complete } = settings
  OTHERS.forEach((key) => delete settings[key])
  if (given.followRedirect === false) settings.redirect = 'manual'
  settings.url = String(path).charAt(0) === '/' ? path : '/' + path
  if (given.service) settings.header = Object.assign({ 'X-WX-SERVICE': given.service }, settings.header)
  const promise = new Call(client, 'request', settings).promise.then(
    (res) =>
      Object.assign({}, res, {
        errMsg: 'cloud.callContainer:ok',
        cookies: res.cookies || [],
        callID: getHeader(res, 'x-wx-call-id') || getHeader(res, 'x-request-id') || ''
      }),
    (err) => {
      const fields = Object.assign({}, err, { errMsg: undefined })
      delete fields.errMsg
      const reason = String((err && err.errMsg) || err).replace(/^\w+:fail /, '')
      throw failure('cloud.callContainer:fail ' + reason, Object.assign({ errCode: -1 }, fields))
    }
  )
  // As there: callbacks or a promise.
  return tell(promise, success, fail, complete) ? undefined : promise
}
