const client = require('../../client.js')

Page({
  data: { text: '' },

  // No login anywhere: the client does it before the first request.
  async call() {
    try {
      const res = await client.request({ url: '/' })
      this.setData({ text: res.statusCode === 200 ? res.data : res.data.error })
    } catch (err) {
      this.setData({ text: err.errMsg })
    }
  },

  async logout() {
    await client.logout()
    this.setData({ text: 'logged out' })
  },

  async login() {
    await client.login()
    this.setData({ text: 'logged in' })
  }
})
