// A Queue has a number of places. Whoever takes one gives it back.
export class Queue {
  constructor(places) {
    this.free = places
    this.waiting = []
  }

  // enter runs start when there is a free place, with the function that gives
  // it back; failed is told what start throws. What enter returns takes start
  // out of the queue again.
  enter(start, failed) {
    const one = { start, failed }
    this.waiting.push(one)
    this.next()
    return () => {
      this.waiting = this.waiting.filter((other) => other !== one)
    }
  }

  next() {
    while (this.free > 0 && this.waiting.length) {
      let taken = true
      const leave = () => {
        if (!taken) return
        taken = false
        this.free++
        this.next()
      }
      this.free--
      const { start, failed } = this.waiting.shift()
      try {
        start(leave)
      } catch (err) {
        leave()
        failed(err)
      }
    }
  }
}
