// The program that every platform builds and runs. It tells the test by
// wx.report what it saw. No syntax here that a platform would have to replace.

export function run(createClient, platform, hooks) {
  const client = createClient({ baseURL: 'https://example.com', wx: platform })
  const report = (name) => [(res) => wx.report(name, res), (err) => wx.report(name, String(err && err.errMsg))]
  const then = (name, promise) => promise.then(...report(name))
  const ask = (name, options) =>
    then(
      name,
      client.request(options).then((res) => res.data.path + ' ' + res.data.token)
    )

  ask('login', { url: '/a' })
    .then(() => {
      wx.endSession()
      return ask('again', { url: '/b', method: 'POST', data: { n: 1 } })
    })
    .then(() =>
      then(
        'upload',
        client.uploadFile({ url: '/up', filePath: 'tmp://1', name: 'file' }).then((res) => JSON.parse(res.data).token)
      )
    )
    .then(() => {
      wx.endSession()
      return then(
        'download',
        client.downloadFile({ url: '/down' }).then((res) => res.tempFilePath)
      )
    })
    .then(() =>
      then(
        'socket',
        client.connectSocket({ url: '/ws' }).then((task) => typeof task.send)
      )
    )
    .then(() => {
      const call = client.request({ url: '/slow' })
      setTimeout(() => call.abort(), 50)
      return then('abort', call)
    })
    .then(() => {
      // An interceptor that refuses, as often as there are places.
      const undo = hooks.reject()
      const all = []
      for (let i = 0; i < 9; i++) all.push(client.request({ url: '/a' }).catch((err) => err.errMsg))
      return then(
        'refused',
        Promise.all(all).then((ends) => ends.join())
      ).then(undo)
    })
    .then(() => {
      // One that says nothing.
      const undo = hooks.silence()
      const all = []
      for (let i = 0; i < 9; i++) all.push(client.request({ url: '/a', timeout: 100 }).catch((err) => err.errMsg))
      return then(
        'silent',
        Promise.all(all).then((ends) => ends.join())
      ).then(undo)
    })
    .then(() => ask('after', { url: '/c' }))
    .then(() =>
      then(
        'logout',
        client.logout().then(() => 'done')
      )
    )
    .then(() => wx.report('end', true))
}

// direct are the hooks of a platform without interceptors.
export function direct(platform) {
  const replace = (request) => {
    const real = platform.request
    platform.request = request
    return () => {
      platform.request = real
    }
  }
  return {
    reject: () => replace(() => Promise.reject({ errMsg: 'request:fail refused' })),
    silence: () => replace(() => undefined)
  }
}
