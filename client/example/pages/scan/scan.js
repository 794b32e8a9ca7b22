const client = require('../../client.js')

// What the gateway's `browser { scan <appid> pages/scan/scan }` opens: a desktop wants
// to log in as this user.
Page({
  data: { asks: null, text: '' },

  async onLoad(options) {
    this.scene = decodeURIComponent(options.scene || '')
    try {
      this.setData({ asks: await client.scan.describe(this.scene) })
    } catch (err) {
      this.end(
        err.error === 'scan_picture'
          ? 'Scan the code from the screen itself, not from a picture.'
          : 'This code is no longer good.'
      )
    }
  },

  async pick(event) {
    try {
      await client.scan.approve(this.scene, event.currentTarget.dataset.number)
      this.end('The desktop is logged in.')
    } catch (err) {
      this.end(
        err.error === 'scan_wrong_number'
          ? 'That is not the number on the desktop. Nobody was logged in.'
          : 'This code is no longer good.'
      )
    }
  },

  async deny() {
    await client.scan.deny(this.scene).catch(() => {}) // nobody approved it, so it ends by itself
    this.end('Nobody was logged in.')
  },

  end(text) {
    this.setData({ asks: null, text })
  }
})
